"""The models of sessions, turns and participants."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.models import Model as AnyModel

from digitwin.conversations.citation import Citation
from digitwin.conversations.contents import TurnItem
from digitwin.conversations.fields import STAGES, TOKENS
from digitwin.errors import InvalidStateError
from digitwin.kernel.orm.model import Entity, Model, SoftDeleteEntity
from digitwin.kernel.orm.parent_visibility import ParentVisibility
from digitwin.kernel.primitives.ids import one_spelling, refuse_nil, uuid7


class Ref(fields.CharField[Any]):
    """A participant's ref, an id among them in its one spelling."""

    def to_db_value(self, value: Any, instance: Any) -> Any:
        """Return what is stored and looked for.

        Raises:
            InvalidInputError: it is the nil UUID.
        """
        value = super().to_db_value(value, instance)
        return refuse_nil(one_spelling(value), "ref") if isinstance(value, str) else value

    def describe(self, serializable: bool) -> dict[str, Any]:
        """Describe the column, which is text, for migrations."""
        told = super().describe(serializable)
        return {**told, "field_type": "CharField"} if serializable else told


class SessionParticipant(Model):
    """A person or program that talks to the twin of one owner, identified by kind and ref.

    Hidden while the owner is deleted.
    """

    hidden_with: ClassVar[ParentVisibility | None] = ParentVisibility(
        "users", "user", {"id": "user_id"}
    )

    id = fields.UUIDField(primary_key=True, default=uuid7)
    user_id = fields.UUIDField()
    kind = fields.CharField(max_length=16)
    ref = Ref(max_length=200, null=True)
    name = fields.CharField(max_length=200, null=True)
    traits: fields.Field[list[str]] = fields.JSONField(default=list)
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "participants"


class ConversationSession(SoftDeleteEntity):
    """One conversation with a twin; its deletion hides everything in it."""

    resource: ClassVar[str] = "session"
    looked_up: ClassVar[dict[str, str]] = {
        # Of one owner this is one value: their sessions are read in the order of an index
        "own_participant": "participant_id = (SELECT id FROM participants WHERE user_id = :user_id"
        " AND kind = (:own_participant::text[])[1] AND ref = (:own_participant::text[])[2])",
        "participant": "(user_id, participant_id) IN (SELECT user_id, id FROM participants"
        " WHERE kind = (:participant::text[])[1] AND ref = (:participant::text[])[2])",
    }

    create_through: ClassVar[str] = "db.sessions.start(user_id, …)"
    change_through: ClassVar[dict[str, str]] = {
        "participant_id": "db.sessions.start(user_id, participant=…)",
        "status": "db.sessions.end(id)",
        "end_reason": "db.sessions.end(id, reason=…)",
        "ended_at": "db.sessions.end(id)",
        "turn_count": "db.sessions.add_turn(id, …)",
    }

    user: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.User", related_name="sessions", db_constraint=False
    )
    participant: fields.ForeignKeyNullableRelation[SessionParticipant] = fields.ForeignKeyField(
        "digitwin.SessionParticipant",
        related_name="sessions",
        db_constraint=False,
        null=True,
        on_delete=fields.SET_NULL,
    )
    voice_model: fields.ForeignKeyNullableRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.VoiceModel",
        related_name="sessions",
        db_constraint=False,
        null=True,
        on_delete=fields.SET_NULL,
    )
    face_model: fields.ForeignKeyNullableRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.FaceModel",
        related_name="sessions",
        db_constraint=False,
        null=True,
        on_delete=fields.SET_NULL,
    )
    user_id: UUID
    participant_id: UUID | None
    voice_model_id: UUID | None
    face_model_id: UUID | None

    external_id = fields.CharField(max_length=200, null=True)
    status = fields.CharField(max_length=16, default="active")
    end_reason = fields.CharField(max_length=64, null=True)
    turn_count = fields.IntField(default=0)
    item_count = fields.IntField(default=0)
    started_at = fields.DatetimeField(db_default=Now())
    ended_at = fields.DatetimeField(null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)

    turns: fields.ReverseRelation[ConversationTurn]
    items: fields.ReverseRelation[TurnItem]

    class Meta:
        table = "conversation_sessions"


class ConversationTurn(Entity):
    """One exchange: what the participant said and what the twin answered.

    Hidden while its session is.
    """

    create_through: ClassVar[str] = "db.sessions.add_turn(session_id, …)"
    change_through: ClassVar[dict[str, str]] = {
        "session_id": "db.sessions.add_turn(session_id, …)",
        "position": "db.sessions.add_turn(session_id, …)",
        "idempotency_key": "db.sessions.add_turn(session_id, idempotency_key=…)",
    }
    hidden_with: ClassVar[ParentVisibility | None] = ParentVisibility(
        "conversation_sessions", "session", {"user_id": "user_id", "id": "session_id"}
    )

    user_id = fields.UUIDField()
    session: fields.ForeignKeyRelation[ConversationSession] = fields.ForeignKeyField(
        "digitwin.ConversationSession", related_name="turns", db_constraint=False
    )
    session_id: UUID
    position = fields.IntField()
    user_text = fields.TextField(null=True)
    twin_text = fields.TextField(null=True)
    heard_text = fields.TextField(null=True)
    status = fields.CharField(max_length=16, default="completed")
    started_at = fields.DatetimeField(null=True, db_default=Now())
    ended_at = fields.DatetimeField(null=True, db_default=Now())
    participant_id = fields.UUIDField(null=True)
    language = fields.CharField(max_length=35, null=True)
    end_of_turn_ms = fields.IntField(null=True)
    asr_ms = fields.IntField(null=True)
    retrieval_ms = fields.IntField(null=True)
    llm_first_token_ms = fields.IntField(null=True)
    llm_ms = fields.IntField(null=True)
    tool_ms = fields.IntField(null=True)
    tts_first_audio_ms = fields.IntField(null=True)
    tts_ms = fields.IntField(null=True)
    render_ms = fields.IntField(null=True)
    first_audio_ms = fields.IntField(null=True)
    total_ms = fields.IntField(null=True)
    input_tokens = fields.IntField(null=True)
    output_tokens = fields.IntField(null=True)
    extra: fields.Field[dict[str, Any] | None] = fields.JSONField(null=True)
    idempotency_key = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "conversation_turns"
        ordering: ClassVar[list[str]] = ["position"]

    @property
    def timings(self) -> dict[str, int]:
        """Milliseconds by stage, of the stages that were measured."""
        return self._not_null(STAGES)

    @property
    def usage(self) -> dict[str, int]:
        """Token counts, of those that were counted."""
        return self._not_null(TOKENS)

    @property
    def items(self) -> list[TurnItem]:
        """Its items, in order.

        Raises:
            InvalidStateError: they were not loaded, by ``with_turns(…, items=True)``.
        """
        return self._loaded("items")

    @property
    def sources(self) -> list[Citation]:
        """What its answer used; errors as :attr:`items`."""
        return self._loaded("sources")

    def _loaded(self, name: str) -> list[Any]:
        rows: list[Any] | None = self.__dict__.get(f"_{name}")
        if rows is None:
            raise InvalidStateError(
                f"{name} are not loaded: use with_turns(…, items=True), or db.sessions.{name}(…)"
            )
        return rows

    def _not_null(self, names: tuple[str, ...]) -> dict[str, int]:
        values = self.__dict__
        return {name: values[name] for name in names if values.get(name) is not None}
