"""The models of what is inside a session besides its turns: items, usage, sources, artifacts."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.models import Model as AnyModel

from digitwin.kernel.orm.encrypted_fields import EncryptedFields
from digitwin.kernel.orm.encrypted_text import EncryptedText
from digitwin.kernel.orm.model import Entity, Model
from digitwin.kernel.orm.parent_visibility import ParentVisibility
from digitwin.kernel.primitives.ids import uuid7

_ADD_ARTIFACT = "db.sessions.add_artifact(session_id, kind=…, artifact_uri=…)"


class SessionContent(Model):
    """A row of a session; hidden while its session is."""

    hidden_with: ClassVar[ParentVisibility | None] = ParentVisibility(
        "conversation_sessions", "session", {"user_id": "user_id", "id": "session_id"}
    )

    id = fields.UUIDField(primary_key=True, default=uuid7)
    user_id = fields.UUIDField()
    session_id: UUID
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        abstract = True


class TurnItem(SessionContent):
    """A part of a conversation: a message, a tool call or its result, a handoff, a file.

    Belongs to a turn, or to the session alone (``turn_id`` is None). ``number`` is its order in
    the session; ``item_id`` is the caller's own id, unique in the session. ``payload`` is any JSON
    value. A tool's call and its result have the same ``call_id``.
    """

    create_through: ClassVar[str] = "db.sessions.extend_turn(turn_id, session_id=…, items=[…])"

    session: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.ConversationSession", related_name="items", db_constraint=False
    )
    turn_id = fields.UUIDField(null=True)
    number = fields.IntField()
    kind = fields.CharField(max_length=16)
    item_id = fields.CharField(max_length=200, null=True)
    call_id = fields.CharField(max_length=200, null=True)
    name = fields.CharField(max_length=200, null=True)
    payload: fields.Field[Any] = fields.JSONField(default=dict)
    is_error = fields.BooleanField(default=False)
    started_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "turn_items"
        ordering: ClassVar[list[str]] = ["number"]


class UsageRecord(SessionContent):
    """What one request to a provider cost; never changed.

    The counts do not overlap: ``input_tokens`` are those that were neither read from a cache nor
    written to one and are not audio, ``output_tokens`` those that are neither reasoning nor audio.
    """

    create_through: ClassVar[str] = "db.sessions.add_usage(session_id=…, kind=…)"

    session: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.ConversationSession", related_name="usage_records", db_constraint=False
    )
    turn_id = fields.UUIDField(null=True)
    kind = fields.CharField(max_length=16)
    provider = fields.CharField(max_length=100, null=True)
    model = fields.CharField(max_length=200, null=True)
    request_id = fields.CharField(max_length=200, null=True)
    input_tokens = fields.IntField(null=True)
    cached_input_tokens = fields.IntField(null=True)
    cache_write_tokens = fields.IntField(null=True)
    output_tokens = fields.IntField(null=True)
    reasoning_tokens = fields.IntField(null=True)
    audio_input_tokens = fields.IntField(null=True)
    audio_output_tokens = fields.IntField(null=True)
    characters = fields.IntField(null=True)
    audio_ms = fields.IntField(null=True)
    extra: fields.Field[dict[str, Any] | None] = fields.JSONField(null=True)
    used_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "usage_records"


class TurnSource(SessionContent):
    """A passage of a document that a turn's answer used.

    ``document_id`` is None once the document is deleted for good; ``quote`` is what was quoted.
    """

    create_through: ClassVar[str] = "db.sessions.extend_turn(turn_id, session_id=…, sources=[…])"

    session: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.ConversationSession", related_name="sources", db_constraint=False
    )
    turn_id = fields.UUIDField()
    document_id = fields.UUIDField(null=True)
    passage = fields.CharField(max_length=200, null=True)
    score = fields.FloatField(null=True)
    quote = fields.TextField(null=True)

    class Meta:
        table = "turn_sources"


class SessionArtifact(EncryptedFields, Entity):
    """A recording, video, image or file of a session, kept in the service's own storage.

    Hidden while its session is.
    """

    resource: ClassVar[str] = "session_artifact"
    audited: ClassVar[tuple[str, ...]] = ("kind", "content_type", "size_bytes", "duration_ms")
    encrypted: ClassVar[tuple[str, ...]] = ("artifact_uri", "checksum")
    create_through: ClassVar[str] = _ADD_ARTIFACT
    change_through: ClassVar[dict[str, str]] = dict.fromkeys(
        ("session_id", "turn_id", "kind", "artifact_uri", "checksum"), _ADD_ARTIFACT
    )
    hidden_with: ClassVar[ParentVisibility | None] = SessionContent.hidden_with

    user_id = fields.UUIDField()
    session: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.ConversationSession", related_name="artifacts", db_constraint=False
    )
    session_id: UUID
    turn_id = fields.UUIDField(null=True)
    kind = fields.CharField(max_length=16)
    artifact_uri = EncryptedText(null=True)
    checksum = EncryptedText(null=True)
    content_type = fields.CharField(max_length=100, null=True)
    size_bytes = fields.BigIntField(null=True)
    duration_ms = fields.IntField(null=True)
    started_at = fields.DatetimeField(null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)

    class Meta:
        table = "session_artifacts"
