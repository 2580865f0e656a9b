"""Psycopg 3, compiled and pooled, with data classes for models: as it comes, and tuned.

It sends what digitwin sends, prepared by its own rule. As it comes, a connection of the pool
begins a transaction and commits it, which are two round trips more.
"""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from benchmarks.packing import unpack
from benchmarks.peers import statements
from benchmarks.peers.base import POOL, Peer
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
        self._columns = len(ConversationSession._meta.fields_db_projection)

    async def close(self) -> None:
        await self._pool.close()

    async def user_by_email(self, user_id: UUID, email: str) -> Any:
        return self._user(*await self._row("user_by_email", email))

    async def session_with_turns(self, user_id: UUID, session_id: UUID) -> Any:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                statements.sql("session_with_turns"),
                statements.session_key(session_id),
                binary=self.binary,
            )
            first, *rows = await cursor.fetchall()
        turns = [self._turn(*row[self._columns :]) for row in rows]
        return self._session(*first[: self._columns], turns)

    async def add_turn(self, user_id: UUID, session_id: UUID, turn: Any) -> Any:
        return self._turn(*await self._row("add_turn", *statements.turn_row(session_id, turn)))

    async def embedding_get(self, key: str) -> Any:
        (packed,) = await self._row("embedding_get", *statements.CACHE, key)
        return unpack(packed)

    async def embedding_set(self, key: str, vector: list[float]) -> Any:
        await self._done("embedding_set", *statements.embedding_row(key, vector))

    async def response_get(self, key: str) -> Any:
        (response,) = await self._row("response_get", *statements.CACHE, key)
        return response

    async def response_set(self, key: str, response: Any) -> Any:
        await self._done("response_set", *statements.response_row(key, response))

    async def consume(self, subject: str) -> Any:
        _tokens, allowed, *_rest = await self._row("consume", *statements.bucket(subject))
        return allowed

    async def _row(self, operation: str, *values: Any) -> Any:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statements.sql(operation), values, binary=self.binary)
            return await cursor.fetchone()

    async def _done(self, operation: str, *values: Any) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(statements.sql(operation), values)


class PsycopgTuned(Psycopg):
    """Each statement commits by itself, and results come in the binary form."""

    name, title, packages = "psycopg-auto", "psycopg 3, autocommit", ("psycopg",)
    autocommit, binary = True, True


def _data_class(model: Any, *more: str) -> Any:
    """A class with the columns of a table, in the order of digitwin's statements."""
    return make_dataclass(f"{model.__name__}Row", [*model._meta.fields_db_projection, *more])
