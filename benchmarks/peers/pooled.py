"""Raw asyncpg with its own pool, as its documentation has it: reset on release included."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.packing import unpack
from benchmarks.peers import statements
from benchmarks.peers.base import POOL, Peer


class Pooled(Peer):
    """It sends and gives back what the floor does."""

    name, title, packages = "asyncpg", "raw asyncpg, pooled", ("asyncpg",)

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            **self.place.asyncpg_arguments(), min_size=POOL, max_size=POOL
        )

    async def close(self) -> None:
        await self._pool.close()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        return await self._row("user_by_email", email)

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        async with self._pool.acquire() as connection:
            return await connection.fetch(
                statements.sql("session_with_turns"), *statements.session_key(session_id)
            )

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        return await self._row("add_turn", *statements.turn_row(session_id, turn))

    async def embedding_get(self, key: str) -> Any:
        record = await self._row("embedding_get", *statements.CACHE, key)
        return unpack(record["value"])

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        return await self._row("embedding_set", *statements.embedding_row(key, vector))

    async def response_get(self, key: str) -> Any:
        record = await self._row("response_get", *statements.CACHE, key)
        return json.loads(record["value"])

    async def response_set(self, key: str, response: Any) -> Any:
        return await self._row("response_set", *statements.response_row(key, response))

    async def consume(self, subject: str) -> Any:
        return await self._row("consume", *statements.bucket(subject))

    async def _row(self, operation: str, *values: Any) -> Any:
        async with self._pool.acquire() as connection:
            return await connection.fetchrow(statements.sql(operation), *values)
