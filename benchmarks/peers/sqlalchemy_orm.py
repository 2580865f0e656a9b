"""SQLAlchemy 2 over asyncpg: the ORM, a session for each call, as a request has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload

from benchmarks.operations import ENDPOINT, WINDOW
from benchmarks.packing import pack, unpack
from benchmarks.peers.base import POOL, Peer
from benchmarks.peers.refilling import end_of_life, refilled
from benchmarks.peers.sqlalchemy_models import (
    CachedEmbedding,
    CachedResponse,
    CacheEntry,
    ConversationSession,
    ConversationTurn,
    RateLimit,
    User,
    UserEmail,
)
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.primitives.jsonb import dumps

ADDRESSED: Any = select(User).join(UserEmail, UserEmail.user_id == User.id)


class OverSqlalchemy(Peer):
    """What both peers on SQLAlchemy share: its engine, and sessions."""

    async def open(self) -> None:
        arguments = self.place.asyncpg_arguments()
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(**arguments),
            pool_size=POOL,
            max_overflow=0,
        )
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()


class SqlalchemyOrm(OverSqlalchemy):
    """Mapped objects; the cache's upserts are its Core's, which takes one statement."""

    name, title, packages = "sqlalchemy", "SQLAlchemy 2", ("sqlalchemy",)

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        async with self._session() as session:
            found = ADDRESSED.where(UserEmail.address == email, User.deleted_at.is_(None))
            return (await session.scalars(found)).one()

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        async with self._session() as session:
            found = (
                select(ConversationSession)
                .where(ConversationSession.id == session_id, alive())
                .options(selectinload(ConversationSession.turns))
            )
            return (await session.scalars(found)).one()

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        async with self._session.begin() as session:
            found = select(ConversationSession).where(
                ConversationSession.id == session_id,
                alive(),
                ConversationSession.status == "active",
            )
            conversation = (await session.scalars(found.with_for_update())).one()
            conversation.turn_count += 1
            conversation.version += 1
            added = new_turn(conversation, turn)
            session.add(added)
        return added

    async def embedding_get(self, key: str) -> Any:
        return unpack(await self._value(CachedEmbedding, key))

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        packed = pack(vector)
        await self._store(CachedEmbedding, key=key, value=packed, size_bytes=len(packed))

    async def response_get(self, key: str) -> Any:
        return await self._value(CachedResponse, key)

    async def response_set(self, key: str, response: Any) -> Any:
        size = len(dumps(response).encode())
        await self._store(CachedResponse, key=key, value=response, size_bytes=size, hit_count=0)

    async def consume(self, subject: str) -> Any:
        async with self._session.begin() as session:
            key = (subject, ENDPOINT, WINDOW * 1000)
            bucket = await session.get_one(RateLimit, key, with_for_update=True)
            return take(bucket)

    async def _value(self, model: Any, key: str) -> Any:
        async with self._session() as session:
            found = select(model.value).where(*entry(model, key))
            return (await session.scalars(found)).one()

    async def _store(self, model: type[CacheEntry], **values: Any) -> None:
        row = insert(model).values(
            user_id=NOBODY, audience="owner", tags=[], expires_at=end_of_life(), **values
        )
        anew = {name: row.excluded[name] for name in (*_ANEW, *values) if name != "key"}
        async with self._session.begin() as session:
            await session.execute(
                row.on_conflict_do_update(index_elements=["user_id", "audience", "key"], set_=anew)
            )


_ANEW = ("tags", "created_at", "expires_at")


def alive() -> Any:
    """Sessions that are not hidden."""
    return ConversationSession.deleted_at.is_(None)


def entry(model: Any, key: str) -> tuple[Any, ...]:
    """The conditions for one living cache entry."""
    return (
        model.user_id == NOBODY,
        model.audience == "owner",
        model.key == key,
        model.expires_at > datetime.now(UTC),
    )


def new_turn(conversation: ConversationSession, turn: Any) -> ConversationTurn:
    """The next one, with the place that the session's counter gives it."""
    return ConversationTurn(
        user_id=conversation.user_id,
        session_id=conversation.id,
        position=conversation.turn_count,
        user_text=turn["user_text"],
        twin_text=turn["twin_text"],
        **turn["timings"],
        **turn["usage"],
    )


def take(bucket: RateLimit) -> bool:
    """One token, if it is there."""
    held, bucket.updated_at = refilled(bucket.tokens, bucket.updated_at)
    bucket.tokens = held - 1 if held >= 1 else held
    return held >= 1
