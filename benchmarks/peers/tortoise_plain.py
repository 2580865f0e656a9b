"""Tortoise as its documentation has it: the same tables, its own models, pool and transactions.

Two of its limits are worked around in its favour: the turns are asked for by their owner too,
which its prefetch does not do and without which the whole index is read, and a cached value is
stored by one upsert in place of ``update_or_create``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise import Tortoise
from tortoise.transactions import in_transaction

from benchmarks.operations import ENDPOINT, WINDOW
from benchmarks.packing import pack, unpack
from benchmarks.peers.base import POOL, Peer
from benchmarks.peers.refilling import end_of_life, refilled
from benchmarks.peers.tortoise_models import (
    CachedEmbedding,
    CachedResponse,
    ConversationSession,
    ConversationTurn,
    RateLimit,
    UserEmail,
)
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.primitives.jsonb import dumps

_PLACE: dict[str, Any] = {"user_id": NOBODY, "audience": "owner"}
_ANEW = ["value", "tags", "size_bytes", "created_at", "expires_at"]


class PlainTortoise(Peer):
    """The mapper that digitwin stands on, alone."""

    name, title, packages = "tortoise", "Tortoise", ("tortoise-orm",)

    async def open(self) -> None:
        await Tortoise.init(
            config={
                "connections": {
                    "default": {
                        "engine": "tortoise.backends.asyncpg",
                        "credentials": {
                            **self.place.asyncpg_arguments(),
                            "minsize": POOL,
                            "maxsize": POOL,
                        },
                    }
                },
                "apps": {"rival": {"models": ["benchmarks.peers.tortoise_models"]}},
            }
        )

    async def close(self) -> None:
        await Tortoise.close_connections()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        found = await UserEmail.get(address=email, user__deleted_at=None).select_related("user")
        return found.user

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        session = await ConversationSession.get(id=session_id, deleted_at=None)
        turns = session.turns
        rows = ConversationTurn.filter(user_id=session.user_id, session_id=session_id)
        turns._set_result_for_query(await rows.order_by("position"))
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

    async def embedding_get(self, key: str) -> Any:
        found = await CachedEmbedding.get(**_PLACE, key=key, expires_at__gt=datetime.now(UTC))
        return unpack(found.value)

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        packed = pack(vector)
        entry = CachedEmbedding(
            key=key, value=packed, size_bytes=len(packed), expires_at=end_of_life()
        )
        await CachedEmbedding.bulk_create(
            [entry], on_conflict=["user_id", "audience", "key"], update_fields=_ANEW
        )

    async def response_get(self, key: str) -> Any:
        found = await CachedResponse.get(**_PLACE, key=key, expires_at__gt=datetime.now(UTC))
        return found.value

    async def response_set(self, key: str, response: Any) -> Any:
        size = len(dumps(response).encode())
        entry = CachedResponse(key=key, value=response, size_bytes=size, expires_at=end_of_life())
        await CachedResponse.bulk_create(
            [entry], on_conflict=["user_id", "audience", "key"], update_fields=[*_ANEW, "hit_count"]
        )

    async def consume(self, subject: str) -> Any:
        async with in_transaction() as connection:
            rows = RateLimit.filter(subject=subject, endpoint=ENDPOINT, window_ms=WINDOW * 1000)
            bucket = await rows.using_db(connection).select_for_update().get()
            held, now = refilled(bucket.tokens, bucket.updated_at)
            allowed = held >= 1
            left = held - 1 if allowed else held
            await rows.using_db(connection).update(tokens=left, updated_at=now)
        return allowed
