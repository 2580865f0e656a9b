"""Psycopg 3, compiled and pooled, with data classes for models: as it comes, and tuned.

It sends what digitwin sends, prepared by its own rule. As it comes, a connection of the pool
begins a transaction and commits it, which is two more round trips.
"""

from __future__ import annotations

from dataclasses import make_dataclass
from functools import partialmethod
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from benchmarks.filling import unpack
from benchmarks.peers.base import POOL, Peer
from digitwin.kernel.sql.columns import compact_fields
from digitwin.models import ConversationSession, ConversationTurn, User


class Psycopg(Peer):
    """Statements by hand, rows as objects."""

    name, title, packages = "psycopg", "psycopg 3", ("psycopg",)
    autocommit, binary = False, False

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
        self._user = _data_class(User)
        self._session = _data_class(ConversationSession, "turns")
        self._turn = _data_class(ConversationTurn)
        self._turn_of_session = make_dataclass("TurnOfSession", compact_fields(ConversationTurn))
        self._columns = len(ConversationSession._meta.fields_db_projection)

    async def close(self) -> None:
        await self._pool.close()

    async def user_by_email(self, *arguments: Any) -> Any:
        return self._user(*(await self._rows("user_by_email", *arguments))[0])

    async def session_with_turns(self, *arguments: Any) -> Any:
        first, *rows = await self._rows("session_with_turns", *arguments)
        turns = [self._turn_of_session(*row[self._columns :]) for row in rows]
        return self._session(*first[: self._columns], turns)

    async def add_turn(self, *arguments: Any) -> Any:
        return self._turn(*(await self._rows("add_turn", *arguments))[0])

    async def embedding_get(self, key: str) -> Any:
        ((packed,),) = await self._rows("embedding_get", key)
        return unpack(packed)

    async def response_get(self, key: str) -> Any:
        ((response,),) = await self._rows("response_get", key)
        return response

    async def consume(self, subject: str) -> Any:
        ((_tokens, allowed, *_rest),) = await self._rows("consume", subject)
        return allowed

    async def _rows(self, operation: str, *arguments: Any) -> list[Any]:
        statement = self.place.statements[operation]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                statement.sql, statement.bind(arguments), binary=self.binary
            )
            return await cursor.fetchall() if cursor.description else []

    embedding_set = partialmethod(_rows, "embedding_set")
    response_set = partialmethod(_rows, "response_set")


class PsycopgTuned(Psycopg):
    """Each statement commits by itself, and results come in the binary form."""

    name, title, packages = "psycopg-auto", "psycopg 3, autocommit", ("psycopg",)
    autocommit, binary = True, True


def _data_class(model: Any, *more: str) -> Any:
    """A class with the columns of a table, in the order of digitwin's statements."""
    return make_dataclass(f"{model.__name__}Row", [*model._meta.fields_db_projection, *more])
