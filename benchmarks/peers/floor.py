"""The floor: raw asyncpg, prepared statements, connections that are held.

It sends what digitwin sends and gives back rows as the records they come in; what was cached,
a list of numbers or a JSON value, it gives back as that, like everybody. One caller has one
connection; many share ten, each for as long as a statement takes.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.packing import unpack
from benchmarks.peers import statements
from benchmarks.peers.base import POOL, Peer


class Floor(Peer):
    """Nothing between the caller and the driver."""

    name, title, packages = "floor", "raw asyncpg, held", ("asyncpg",)

    async def open(self) -> None:
        self._connections: list[asyncpg.Connection] = [
            await asyncpg.connect(**self.place.asyncpg_arguments()) for _ in range(POOL)
        ]
        self._free: dict[str, asyncio.LifoQueue[PreparedStatement]] = {}

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        return await self._row("user_by_email", email)

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        free = self._free.get("session_with_turns") or await self._prepare("session_with_turns")
        statement = await free.get()
        try:
            return await statement.fetch(*statements.session_key(session_id))
        finally:
            free.put_nowait(statement)

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
        free = self._free.get(operation) or await self._prepare(operation)
        statement = await free.get()
        try:
            return await statement.fetchrow(*values)
        finally:
            free.put_nowait(statement)

    async def _prepare(self, operation: str) -> asyncio.LifoQueue[PreparedStatement]:
        free: asyncio.LifoQueue[PreparedStatement] = asyncio.LifoQueue()
        for connection in self._connections:
            free.put_nowait(await connection.prepare(statements.sql(operation)))
        return self._free.setdefault(operation, free)
