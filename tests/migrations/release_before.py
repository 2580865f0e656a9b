"""Calls as the release before makes them, by its own statements (``release_before.sql``)."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from digitwin.kernel.sql.queries import Query, compiled, filled, parse

_TEXTS = parse(Path(__file__).with_suffix(".sql").read_text("utf-8"))
ERASED = ("conversation_turns", "knowledge_documents", "conversation_sessions", "participants")
"""In the order of its erasure."""


@cache
def _query(name: str, table: str) -> Query:
    return compiled(filled(_TEXTS[name], _TEXTS | {"table": table}))


class ReleaseBefore:
    """A process of the release before."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._numbers = count()

    async def talks(self) -> None:
        """A conversation with a guest, read and ended."""
        session = await self._starts(await self._person())
        turn = await self.run("add_turn", session_id=session)
        await self.run("add_turns_once", session_id=session, keys=["a", "b"])
        again = await self.run("add_turns_once", session_id=session, keys=["b", "c"])
        assert [row["position"] for row in again] == [4, 3]
        told = {"twin_text": "Yes?", "heard_text": "Y"}
        amended = await self.run("amend_turn", turn_id=turn[0]["id"], session_id=session, **told)
        assert amended[0]["status"] == "interrupted"
        turns = await self.run("turns", session_id=session)
        assert [row["position"] for row in turns] == [4, 3, 2, 1]
        assert [row["turn_count"] for row in await self.run("end", session_id=session)] == [4]

    async def works(self) -> None:
        """A document is claimed and finished. Two may do this at once: each has a name."""
        document, worker = uuid4(), f"w{next(self._numbers)}"
        await self.run("create_document", user_id=await self._person(), document_id=document)
        while claimed := await self.run("claim", worker=worker, lease_seconds=60):
            done = {"document_id": claimed[0]["id"], "worker": worker, "status": "ready"}
            finished = await self.run("finish", **done)
            assert not finished or finished[0]["status"] == "ready"
            if claimed[0]["id"] == document:
                break

    async def deletes(self) -> None:
        """A person is hidden with everything."""
        person = await self._person()
        session = await self._starts(person)
        await self.run("add_turn", session_id=session)
        await self.run("hide", user_id=person)
        assert await self.run("turns", session_id=session) == []
        assert await self.run("add_turn", session_id=session) == []

    async def erases(self) -> None:
        """A guest is redacted, and the person erased, in one transaction over many tables."""
        person = await self._person()
        session = await self._starts(person)
        await self.run("add_turn", session_id=session)
        await self.run("create_document", user_id=person, document_id=uuid4())
        async with self._pool.acquire() as connection, connection.transaction():
            for step in ("lock_person", "lock_sessions", "lock_participants", "redact_turns"):
                await self._send(connection, step, user_id=person)
            await self._send(connection, "queue_deletion")
            await self._send(connection, "allow_erasure")
            for table in ERASED:
                gone = await self._send(connection, "erase_batch", table, user_id=person)
                assert gone[0]["count"] == 1
            await self._send(connection, "erase_user", user_id=person)

    async def _person(self) -> UUID:
        person = uuid4()
        await self._pool.execute(
            "INSERT INTO users (id, email, name)"
            " VALUES ($1::uuid, $1::text || '@example.com', 'P')",
            person,
        )
        return person

    async def _starts(self, person: UUID) -> UUID:
        session = uuid4()
        started = await self.run("start", user_id=person, ref=str(session), session_id=session)
        assert started[0]["status"] == "active"
        return session

    async def run(self, name: str, **values: object) -> list[asyncpg.Record]:
        """Send a statement by itself."""
        async with self._pool.acquire() as connection:
            return await self._send(connection, name, **values)

    async def _send(
        self, connection: asyncpg.Connection, name: str, table: str = "", **values: object
    ) -> list[asyncpg.Record]:
        query = _query(name, table)
        found: list[asyncpg.Record] = await connection.fetch(query.sql, *query.bind(values))
        return found
