"""Digitwin as its documentation shows it: unscoped, and bound to one person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import digitwin
from benchmarks.filling import ANSWER, vectors
from benchmarks.operations import ENDPOINT, LIMIT, WINDOW
from benchmarks.peers.base import POOL, Peer, read


class Handle(Peer):
    """One handle with its defaults, but for the cache's memory."""

    async def open(self) -> None:
        self.db = await digitwin.connect(
            self.place.url,
            pool_min=POOL,
            pool_max=POOL,
            migrate="skip",
            cache_memory_entries=0,  # the PostgreSQL level is what is measured
        )

    async def close(self) -> None:
        await self.db.close()


class Digitwin(Handle):
    """Unscoped."""

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        return await self.db.users.get_by_email(email)

    async def user_get(self, user_id: UUID, email: str) -> Any:
        return await self.db.users.get(user_id)

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        session = await self.db.sessions.with_turns(session_id)
        read(session.turns)
        return session

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        return await self.db.sessions.add_turn(session_id, **turn)

    async def embedding_get(self, key: str) -> Any:
        return await self.db.cache.embeddings.get(key)

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        return await self.db.cache.embeddings.set(key, vector)

    async def response_get(self, key: str) -> Any:
        return await self.db.cache.responses.get(key)

    async def response_set(self, key: str, response: Any) -> Any:
        return await self.db.cache.responses.set(key, response)

    async def consume(self, subject: str) -> Any:
        return await self.db.limits.consume(subject, ENDPOINT, limit=LIMIT, window=WINDOW)

    async def store(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        """Store values of an ordinary length where a table of short ones is asked."""
        value: Any = {"embedding_get": vectors()[0], "response_get": ANSWER}.get(method)
        if value is not None:
            for (key,) in arguments:
                await getattr(self, method.replace("_get", "_set"))(key, value)


class Scoped(Handle):
    """For one person, as in a request: each call makes its scope, and most are for another."""

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        return await self.db.for_user(user_id).users.get_by_email(email)

    async def user_get(self, user_id: UUID, email: str) -> Any:
        return await self.db.for_user(user_id).users.get(user_id)

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        session = await self.db.for_user(user_id).sessions.with_turns(session_id)
        read(session.turns)
        return session

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        return await self.db.for_user(user_id).sessions.add_turn(session_id, **turn)
