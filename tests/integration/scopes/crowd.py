"""Many tasks of many people on few connections, and everything that can go wrong with a call.

Each person's rows bear the person's mark. Statements have no condition of their own, so that row
security alone decides what they see and change: in a wrong scope they would meet everybody's rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any
from uuid import UUID

from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    ConnectionFailedError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    OutcomeUnknownError,
    QueryTimeoutError,
)
from digitwin.handle.scopes import UserScope
from digitwin.kernel.connection.connections import WHO
from digitwin.kernel.connection.scopes import APPLICATION, SERVICE
from digitwin.kernel.primitives.ids import uuid7

PEOPLE = 50
TASKS = 200

_BUSY = (QueryTimeoutError, ConnectionFailedError, OutcomeUnknownError)
"""What any call may end with, since timeouts and killed backends are part of the crowd."""


class Wrong(AssertionError):
    """A call saw or changed what was not its person's, or ended as it should not."""


class Person:
    """One person's calls; each raises :class:`Wrong` if it met another's scope."""

    def __init__(self, db: Database, mark: str, dice: Random) -> None:
        self._db = db
        self._mark = mark
        self._dice = dice

    async def settle(self) -> None:
        """Store the person, and a voice with the person's mark."""
        user = await self._db.users.create(email=f"{self._mark}@example.com", name=self._mark)
        self.id: UUID = user.id
        self._me: UserScope = self._db.for_user(user.id)
        self._sql = self._me._core.db
        self._service = self._db.for_service(reason="a crowd")._core.db
        self._login: Any = self._db._core.db
        self._user = await self._me.users.get(user.id)
        self.voice = (await self._me.voices.create(name=self._mark)).id

    def meet(self, others: list[Person]) -> None:
        """Know whose rows to try to write."""
        self._others = [person for person in others if person is not self]

    async def who(self) -> None:
        _same(await self._sql.fetchrow(WHO), (APPLICATION, str(self.id)))

    async def read(self) -> None:
        rows = await self._sql.fetch("SELECT user_id, name FROM voice_models")
        for row in rows:
            _same(row, (self.id, self._mark))
        _same([len(rows)], [1])

    async def through_the_repository(self) -> None:
        _same([voice.user_id for voice in (await self._me.voices.list()).items], [self.id])
        _same([(await self._me.users.get(self.id)).id], [self.id])

    async def through_a_relation(self) -> None:
        voices: list[Any] = await self._user.voice_models
        _same([voice.name for voice in voices], [self._mark])
        _same([await self._user.voice_models.all().update(provider=self._mark)], [1])

    async def write(self) -> None:
        name = f"{self._mark} {self._dice.random()}"
        tag = await self._sql.execute("UPDATE users SET name = $1", name)
        _same([tag], ["UPDATE 1"])

    async def write_large(self) -> None:
        """In more than one packet."""
        large = "x" * self._dice.randrange(100_000, 400_000)
        length = await self._sql.fetchval("SELECT length($1) FROM voice_models", large)
        _same([length], [len(large)])

    async def for_another(self) -> None:
        other = self._dice.choice(self._others)
        sql = "INSERT INTO voice_models (user_id, id, name) VALUES ($1, $2, $3)"
        await _refused(self._sql.execute(sql, other.id, uuid7(), self._mark), InvalidStateError)

    async def twice(self) -> None:
        creating = self._me.voices.create(id=self.voice, name=self._mark)
        await _refused(creating, AlreadyExistsError)

    async def bad_for_the_server(self) -> None:
        await _refused(self._sql.fetchval("SELECT $1::text::int", "x"), InvalidInputError)

    async def bad_for_the_driver(self) -> None:
        await _refused(self._sql.fetchval("SELECT $1::int", "x"), InvalidInputError)
        if self._dice.random() < 0.5:
            await self.unscoped()

    async def sleep(self) -> None:
        await _refused(self._sql.fetchval("SELECT pg_sleep(60)"), QueryTimeoutError)

    async def killed(self) -> None:
        sql = "SELECT pg_terminate_backend(pg_backend_pid())"
        await _refused(self._login.fetchval(sql), ConnectionFailedError)

    async def unscoped(self) -> None:
        role, person = await self._login.fetchrow(WHO)
        _same([role in (APPLICATION, SERVICE), person or None], [False, None])

    async def everybody(self) -> None:
        _same([await self._login.fetchval("SELECT count(*) FROM voice_models")], [PEOPLE])

    async def service(self) -> None:
        _same(await self._service.fetchrow(WHO), (SERVICE, ""))
        _same([await self._service.fetchval("SELECT count(*) FROM voice_models")], [PEOPLE])

    async def limiter(self) -> None:
        await self._db.limits.consume(self.id, "/chat", limit=1_000_000, window=60)

    async def transaction(self) -> None:
        async with self._me.transaction() if self._dice.random() < 0.5 else self._db.transaction():
            await self.who()
            await self.service()
            await self.unscoped()
            await self.read()
            async with self._me.transaction():
                await self.write()
            await self.unscoped()

    async def torn_transaction(self) -> None:
        with suppress(LookupError):
            async with self._db.transaction():
                await self.write()
                with suppress(InvalidStateError):
                    async with self._me.transaction():
                        await self.for_another()
                        await self.write()  # refused: the savepoint is aborted
                await self.unscoped()
                _roll_back()

    def next(self) -> Callable[[], Awaitable[None]]:
        """Return a random one of the calls."""
        (chosen,) = self._dice.choices(_CALLS, _WEIGHTS)
        call: Callable[[], Awaitable[None]] = getattr(self, chosen)
        return call


_OFTEN: dict[str, float] = {
    "who": 20,
    "read": 20,
    "through_the_repository": 4,
    "through_a_relation": 2,
    "write": 10,
    "write_large": 0.05,
    "for_another": 4,
    "twice": 1,
    "bad_for_the_server": 5,
    "bad_for_the_driver": 8,
    "sleep": 0.05,
    "killed": 0.02,
    "unscoped": 10,
    "everybody": 5,
    "service": 6,
    "limiter": 2,
    "transaction": 1,
    "torn_transaction": 1,
}
_CALLS, _WEIGHTS = tuple(_OFTEN), tuple(_OFTEN.values())


async def crowd(db: Database, calls: int, seed: int) -> Counter[str]:
    """Make so many calls and count how they ended; ``Wrong`` ends it."""
    dice = Random(seed)
    people = [Person(db, f"person-{n}", Random(dice.random())) for n in range(PEOPLE)]
    for person in people:
        await person.settle()
    for person in people:
        person.meet(people)
    ended: Counter[str] = Counter()

    async def work(person: Person, dice: Random) -> None:
        while ended.total() < calls:
            call = person.next()
            if dice.random() < 0.15:
                ended[await _cancelled(call, dice)] += 1
                continue
            try:
                await call()
            except _BUSY as error:
                ended[type(error).__name__] += 1
            else:
                ended[call.__name__] += 1

    async with asyncio.TaskGroup() as group:
        for n in range(TASKS):
            group.create_task(work(people[n % PEOPLE], Random(dice.random())))
    await _all_is_in_place(db, people)
    return ended


async def _cancelled(call: Callable[[], Awaitable[None]], dice: Random) -> str:
    """Cancel the call after some turns of the event loop."""
    task = asyncio.ensure_future(call())
    for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 4, 8, 16, 64))):
        await asyncio.sleep(0)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, BaseException) and not isinstance(
        outcome, (asyncio.CancelledError, *_BUSY)
    ):
        raise outcome
    return "cancelled" if task.cancelled() else "cancelled too late"


async def _all_is_in_place(db: Database, people: list[Person]) -> None:
    """Nobody's rows were changed by another, and no connection is lost or in a scope."""
    for person in people:
        row = await db._core.db.fetchrow(
            "SELECT u.name, v.id, v.name AS voice FROM users u JOIN voice_models v"
            " ON v.user_id = u.id WHERE u.id = $1",
            person.id,
        )
        assert row is not None
        _same(
            [row["name"].split(" ")[0], row["id"], row["voice"]],
            [person._mark, person.voice, person._mark],
        )
    pool = (await db.health()).pool
    _same([pool.in_use, pool.waiting, pool.size - pool.idle], [0, 0, 0])
    most = db.settings.pool_max
    together = asyncio.Barrier(most)

    async def hold() -> None:
        connection = await db._core.pool.acquire()
        try:
            await together.wait()
            role, who = await connection.ask("fetchrow", WHO)
            _same([role == APPLICATION, role == SERVICE, who or None], [False, False, None])
        finally:
            await db._core.pool.release(connection, well=True)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(most):
            group.create_task(hold())


def _roll_back() -> None:
    raise LookupError


async def _refused(call: Awaitable[object], error: type[DigiTwinError]) -> None:
    try:
        answer = await call
    except error:
        return
    raise Wrong(f"answered {answer!r} instead of {error.__name__}")


def _same(found: Any, expected: Any) -> None:
    if tuple(found) != tuple(expected):
        raise Wrong(f"{tuple(found)} instead of {tuple(expected)}")
