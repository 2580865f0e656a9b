"""The floor: raw asyncpg, prepared statements, connections that are held.

It sends what digitwin sends and returns rows as records; a cached value it returns as a list of
numbers or a JSON value, as every peer does. One caller has one connection; many share ten, each
for as long as a statement takes.
"""

from __future__ import annotations

import asyncio
import json
from functools import partialmethod
from typing import Any

from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.filling import unpack
from benchmarks.peers.base import POOL, Peer


class Floor(Peer):
    """Nothing between the caller and the driver."""

    name, title, packages = "floor", "raw asyncpg, held", ("asyncpg",)

    async def open(self) -> None:
        self._connections = [await self.place.connect() for _ in range(POOL)]
        self._free: dict[str, asyncio.LifoQueue[PreparedStatement]] = {}

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    async def _send(self, method: Any, operation: str, *arguments: Any) -> Any:
        values = self.place.statements[operation].bind(arguments)
        free = self._free.get(operation) or await self._prepare(operation)
        statement = await free.get()
        try:
            return await method(statement, *values)
        finally:
            free.put_nowait(statement)

    _row: Any = partialmethod(_send, PreparedStatement.fetchrow)
    user_by_email = partialmethod(_row, "user_by_email")
    session_with_turns = partialmethod(_send, PreparedStatement.fetch, "session_with_turns")
    add_turn = partialmethod(_row, "add_turn")
    embedding_set = partialmethod(_row, "embedding_set")
    response_set = partialmethod(_row, "response_set")
    consume = partialmethod(_row, "consume")

    async def embedding_get(self, key: str) -> Any:
        return unpack((await self._row("embedding_get", key))["value"])

    async def response_get(self, key: str) -> Any:
        return json.loads((await self._row("response_get", key))["value"])

    async def _prepare(self, operation: str) -> asyncio.LifoQueue[PreparedStatement]:
        free: asyncio.LifoQueue[PreparedStatement] = asyncio.LifoQueue()
        for connection in self._connections:
            free.put_nowait(await connection.prepare(self.place.statements[operation].sql))
        return self._free.setdefault(operation, free)
