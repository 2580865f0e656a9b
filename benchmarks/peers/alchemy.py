"""Advanced-alchemy: its repositories over SQLAlchemy's sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.orm import selectinload

from benchmarks.operations import ENDPOINT, WINDOW
from benchmarks.packing import pack, unpack
from benchmarks.peers.refilling import end_of_life
from benchmarks.peers.sqlalchemy_models import (
    CachedEmbedding,
    CachedResponse,
    ConversationSession,
    ConversationTurn,
    RateLimit,
    User,
    UserEmail,
    now,
)
from benchmarks.peers.sqlalchemy_orm import (
    ADDRESSED,
    OverSqlalchemy,
    alive,
    entry,
    new_turn,
    take,
)
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.primitives.jsonb import dumps


class Users(SQLAlchemyAsyncRepository[User]):
    model_type = User


class Sessions(SQLAlchemyAsyncRepository[ConversationSession]):
    model_type = ConversationSession


class Turns(SQLAlchemyAsyncRepository[ConversationTurn]):
    model_type = ConversationTurn


class Embeddings(SQLAlchemyAsyncRepository[CachedEmbedding]):
    model_type = CachedEmbedding


class Responses(SQLAlchemyAsyncRepository[CachedResponse]):
    model_type = CachedResponse


class Buckets(SQLAlchemyAsyncRepository[RateLimit]):
    model_type = RateLimit


_KEY = ["user_id", "audience", "key"]


class AdvancedAlchemy(OverSqlalchemy):
    """Repositories ready made, as digitwin's are."""

    name, title, packages = "alchemy", "advanced-alchemy", ("advanced-alchemy",)

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        async with self._session() as session:
            return await Users(session=session).get_one(
                UserEmail.address == email, User.deleted_at.is_(None), statement=ADDRESSED
            )

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        async with self._session() as session:
            return await Sessions(session=session).get_one(
                alive(), id=session_id, load=[selectinload(ConversationSession.turns)]
            )

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        async with self._session.begin() as session:
            conversation = await Sessions(session=session).get_one(
                alive(), id=session_id, status="active", with_for_update=True
            )
            conversation.turn_count += 1
            conversation.version += 1
            return await Turns(session=session).add(
                new_turn(conversation, turn), auto_refresh=False
            )

    async def embedding_get(self, key: str) -> Any:
        async with self._session() as session:
            found = await Embeddings(session=session).get_one(*entry(CachedEmbedding, key))
            return unpack(found.value)

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        packed = pack(vector)
        await self._store(Embeddings, CachedEmbedding(value=packed, size_bytes=len(packed)), key)

    async def response_get(self, key: str) -> Any:
        async with self._session() as session:
            return (await Responses(session=session).get_one(*entry(CachedResponse, key))).value

    async def response_set(self, key: str, response: Any) -> Any:
        size = len(dumps(response).encode())
        row = CachedResponse(value=response, size_bytes=size, hit_count=0)
        await self._store(Responses, row, key)

    async def consume(self, subject: str) -> Any:
        async with self._session.begin() as session:
            bucket = await Buckets(session=session).get_one(
                subject=subject, endpoint=ENDPOINT, window_ms=WINDOW * 1000, with_for_update=True
            )
            return take(bucket)

    async def _store(self, repository: Any, row: Any, key: str) -> None:
        row.user_id, row.audience, row.key = NOBODY, "owner", key
        row.tags, row.created_at, row.expires_at = [], now(), end_of_life()
        async with self._session.begin() as session:
            await repository(session=session).upsert(row, match_fields=_KEY, auto_refresh=False)
