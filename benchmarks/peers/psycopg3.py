"""Psycopg 3, compiled and pooled, with data classes for models.

It sends what digitwin sends, prepared. With autocommit and binary results each statement is one
round trip; as it comes, a connection of the pool begins a transaction and commits it too.
"""

from __future__ import annotations

from dataclasses import make_dataclass
from functools import partialmethod
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from benchmarks.filling import unpack
from benchmarks.peers.base import POOL, Peer, columns_of, read
from digitwin.models import ConversationSession


class Psycopg(Peer):
    """Statements by hand, rows as objects; each statement commits by itself."""

    autocommit = True
    objects = ("user_by_email", "user_get", "session_with_turns", "add_turn")

    async def open(self) -> None:
        self._pool = AsyncConnectionPool(
            self.place.url,
            min_size=POOL,
            max_size=POOL,
            open=False,
            kwargs={
                "autocommit": self.autocommit,
                "cursor_factory": psycopg.AsyncRawCursor,
                "options": " ".join(f"-c {k}={v}" for k, v in self.place.settings.items()),
            },
        )
        await self._pool.open(wait=True)

    async def prepare(self, method: str, arguments: Any) -> None:
        if method not in self.objects:
            return
        columns = self.place.statements[method].columns
        split = len(columns_of(ConversationSession)) if method == "session_with_turns" else 0
        self._split: int = split
        self._session: Any = make_dataclass("Session", [*columns[:split], "turns"])
        self._row: Any = make_dataclass("Row", columns[split:])

    async def close(self) -> None:
        await self._pool.close()

    async def session_with_turns(self, *arguments: Any) -> Any:
        first, *rows = await self._rows("session_with_turns", *arguments)
        turns = [self._row(*row[self._split :]) for row in rows]
        read(turns)
        return self._session(*first[: self._split], turns)

    async def _object(self, method: str, *arguments: Any) -> Any:
        return self._row(*(await self._rows(method, *arguments))[0])

    user_by_email = partialmethod(_object, "user_by_email")
    user_get = partialmethod(_object, "user_get")
    add_turn = partialmethod(_object, "add_turn")

    async def embedding_get(self, key: str) -> Any:
        ((packed,),) = await self._rows("embedding_get", key)
        return unpack(packed)

    async def response_get(self, key: str) -> Any:
        ((response,),) = await self._rows("response_get", key)
        return response

    async def consume(self, subject: str) -> Any:
        (decision,) = await self._rows("consume", subject)
        return decision

    async def _rows(self, operation: str, *arguments: Any) -> list[Any]:
        statement = self.place.statements[operation]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                statement.sql, statement.bind(arguments), prepare=True, binary=True
            )
            return await cursor.fetchall() if cursor.description else []

    embedding_set = partialmethod(_rows, "embedding_set")
    response_set = partialmethod(_rows, "response_set")


class PsycopgBegin(Psycopg):
    """BEGIN and COMMIT around each statement, the default."""

    autocommit = False
