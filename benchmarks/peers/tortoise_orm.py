"""Tortoise as its documentation shows it: the same tables, its own models, pool, transactions.

One of its limits is worked around in its favour: the turns are asked for by their owner too. Its
prefetch does not do that, and would read a whole index.
"""

from __future__ import annotations

import ssl
from typing import Any
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict
from tortoise import Tortoise, fields
from tortoise.models import Model
from tortoise.transactions import in_transaction

from benchmarks.peers.base import POOL, Peer, Place, read
from digitwin import uuid7


class User(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    email = fields.CharField(max_length=320)
    name = fields.CharField(max_length=200)
    personality_traits: fields.Field[list[str]] = fields.JSONField(default=list)
    settings: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    subscription_tier = fields.CharField(max_length=16, default="free")
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        table = "users"


class UserEmail(Model):
    address = fields.CharField(max_length=320, primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "rival.User", related_name="address", db_constraint=False
    )

    class Meta:
        table = "user_emails"


class ConversationSession(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "rival.User", related_name="sessions", db_constraint=False
    )
    user_id: UUID
    turns: fields.ReverseRelation[ConversationTurn]
    participant_id = fields.UUIDField(null=True)
    voice_model_id = fields.UUIDField(null=True)
    face_model_id = fields.UUIDField(null=True)
    external_id = fields.CharField(max_length=200, null=True)
    status = fields.CharField(max_length=16, default="active")
    end_reason = fields.CharField(max_length=64, null=True)
    turn_count = fields.IntField(default=0)
    started_at = fields.DatetimeField(auto_now_add=True)
    ended_at = fields.DatetimeField(null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)
    deletion_id = fields.UUIDField(null=True)

    class Meta:
        table = "conversation_sessions"


class ConversationTurn(Model):
    id = fields.UUIDField(primary_key=True, default=uuid7)
    user_id = fields.UUIDField()
    session: fields.ForeignKeyRelation[ConversationSession] = fields.ForeignKeyField(
        "rival.ConversationSession", related_name="turns", db_constraint=False
    )
    position = fields.IntField()
    user_text = fields.TextField(null=True)
    twin_text = fields.TextField(null=True)
    heard_text = fields.TextField(null=True)
    status = fields.CharField(max_length=16, default="completed")
    asr_ms = fields.IntField(null=True)
    retrieval_ms = fields.IntField(null=True)
    llm_first_token_ms = fields.IntField(null=True)
    llm_ms = fields.IntField(null=True)
    tts_ms = fields.IntField(null=True)
    render_ms = fields.IntField(null=True)
    first_audio_ms = fields.IntField(null=True)
    total_ms = fields.IntField(null=True)
    input_tokens = fields.IntField(null=True)
    output_tokens = fields.IntField(null=True)
    idempotency_key = fields.CharField(max_length=200, null=True)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "conversation_turns"


class PlainTortoise(Peer):
    """The mapper that digitwin is built on, alone."""

    async def open(self) -> None:
        await Tortoise.init(
            config={
                "connections": {
                    "default": {
                        "engine": "tortoise.backends.asyncpg",
                        "credentials": _credentials(self.place),
                    }
                },
                "apps": {"rival": {"models": ["benchmarks.peers.tortoise_orm"]}},
            }
        )

    async def close(self) -> None:
        await Tortoise.close_connections()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        found = await UserEmail.get(address=email, user__deleted_at=None).select_related("user")
        return found.user

    async def user_get(self, user_id: UUID, email: str) -> Any:
        return await User.get(id=user_id, deleted_at=None)

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        session = await ConversationSession.get(id=session_id, deleted_at=None)
        turns = session.turns
        rows = ConversationTurn.filter(user_id=session.user_id, session_id=session_id)
        turns._set_result_for_query(await rows.order_by("position"))
        read(turns)
        return session

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        async with in_transaction() as connection:
            session = await (
                ConversationSession.select_for_update()
                .using_db(connection)
                .get(id=session_id, deleted_at=None, status="active")
            )
            session.turn_count += 1
            session.version += 1
            await session.save(connection, ["turn_count", "version", "updated_at"])
            return await ConversationTurn.create(
                connection,
                user_id=session.user_id,
                session_id=session_id,
                position=session.turn_count,
                user_text=turn["user_text"],
                twin_text=turn["twin_text"],
                **turn["timings"],
                **turn["usage"],
            )


def _credentials(place: Place) -> dict[str, Any]:
    """The parts of the URL, since Tortoise's own URLs know no socket."""
    parts = conninfo_to_dict(place.url)
    root = parts.get("sslrootcert")
    return {
        "host": parts["host"],
        "port": parts.get("port", 5432),
        "user": parts["user"],
        "database": parts["dbname"],
        "ssl": ssl.create_default_context(cafile=str(root)) if root else None,
        "server_settings": place.settings,
        "minsize": POOL,
        "maxsize": POOL,
    }
