"""The floor: raw asyncpg, one held connection with its own prepared statement.

It sends what digitwin sends and returns rows as records; a cached value it returns as a list of
numbers or a JSON value, as every peer does. Where many call, it has ten callers, one for each
connection: more of them would only wait for each other.
"""

from __future__ import annotations

import json
from functools import partialmethod
from typing import Any, ClassVar, Final

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.filling import unpack
from benchmarks.operations import ENDPOINT, WINDOW
from benchmarks.peers.base import POOL, Peer


class Connections(Peer):
    """Ten that are held, each with one prepared statement."""

    most: ClassVar[int | None] = POOL

    async def open(self) -> None:
        self._connections = [await self.place.connect() for _ in range(POOL)]
        self._free: list[PreparedStatement] = []

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    async def _hold(self, sql: str) -> None:
        self._free += [await connection.prepare(sql) for connection in self._connections]

    async def _fetch(self, values: Any) -> Any:
        statement = self._free.pop()
        try:
            return await statement.fetch(*values)
        finally:
            self._free.append(statement)


class Floor(Connections):
    """Nothing between the caller and the driver."""

    async def prepare(self, method: str, arguments: Any) -> None:
        self._find_texts()
        await self._hold(self.place.statements[method].sql)

    def _find_texts(self) -> None:
        if statement := self.place.statements.get("session_with_turns"):
            self._texts = [statement.columns.index(name) for name in ("user_text", "twin_text")]

    async def _rows(self, method: str, *arguments: Any) -> Any:
        return await self._fetch(self.place.statements[method].bind(arguments))

    async def _row(self, method: str, *arguments: Any) -> Any:
        rows = await self._rows(method, *arguments)
        return rows[0] if rows else None

    user_by_email = partialmethod(_row, "user_by_email")
    user_get = partialmethod(_row, "user_get")
    add_turn = partialmethod(_row, "add_turn")
    embedding_set = partialmethod(_row, "embedding_set")
    response_set = partialmethod(_row, "response_set")
    consume = partialmethod(_row, "consume")

    async def session_with_turns(self, *arguments: Any) -> Any:
        rows = await self._rows("session_with_turns", *arguments)
        first, second = self._texts
        for row in rows:
            row[first], row[second]
        return rows

    async def embedding_get(self, key: str) -> Any:
        return unpack((await self._row("embedding_get", key))["value"])

    async def response_get(self, key: str) -> Any:
        return json.loads((await self._row("response_get", key))["value"])


class Pool(Floor):
    """The same through asyncpg's own pool, which sends no reset."""

    most = None

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self.place.url,
            min_size=POOL,
            max_size=POOL,
            server_settings=self.place.settings,
            reset=_nothing,
        )

    async def close(self) -> None:
        await self._pool.close()

    async def prepare(self, method: str, arguments: Any) -> None:
        self._find_texts()  # the driver prepares at the first call

    async def _rows(self, method: str, *arguments: Any) -> Any:
        statement = self.place.statements[method]
        return await self._pool.fetch(statement.sql, *statement.bind(arguments))


async def _nothing(connection: Any) -> None:
    """Instead of a reset."""


class SimpleBucket(Connections):
    """The cheapest decision there is: one subtraction. It refills nothing."""

    async def prepare(self, method: str, arguments: Any) -> None:
        await self._hold(_SUBTRACT)

    async def consume(self, subject: str) -> Any:
        return await self._fetch((subject, ENDPOINT, WINDOW * 1000))


_SUBTRACT: Final = """
UPDATE bench.buckets SET tokens = tokens - 1
WHERE subject = $1 AND endpoint = $2 AND window_ms = $3 AND tokens >= 1
RETURNING tokens
"""
