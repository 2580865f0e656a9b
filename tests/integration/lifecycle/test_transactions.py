"""All or nothing across repositories, savepoints inside, and one task only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.models import AuditLog, User

Whole = Callable[[Database], Awaitable[None]]

NO_EVE = "ALTER TABLE users ADD CHECK (name <> 'eve')"
"""Makes the database refuse a name that digitwin accepts."""


async def add(db: Database, name: str) -> User:
    return await db.users.create(email=f"{name}@example.com", name=name)


async def names(db: Database) -> set[str]:
    return {user.name async for user in db.users.stream()}


async def test_what_fails_leaves_nothing_in_any_repository(digitwin_db: Database) -> None:
    db = digitwin_db
    with pytest.raises(LookupError):
        async with db.transaction():
            ada = await add(db, "ada")
            await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")
            await db.audit.record("user.created", "user", user_id=ada.id)
            await User.filter(id=ada.id).update(name="Countess")
            raise LookupError
    assert await db.users.count() == 0
    assert await db.documents.count() == 0
    assert await AuditLog.all().count() == 0


async def test_inside_one_sees_what_one_wrote_and_others_do_not(digitwin_db: Database) -> None:
    db = digitwin_db
    wrote, looked = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with db.transaction():
            await add(db, "ada")
            assert await names(db) == {"ada"}
            assert await User.all().count() == 1
            wrote.set()
            await looked.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await wrote.wait()
        assert await names(db) == set()
        looked.set()
    assert await names(db) == {"ada"}


async def test_an_inner_transaction_rolls_back_alone(digitwin_db: Database) -> None:
    db = digitwin_db
    async with db.transaction():
        ada = await add(db, "ada")
        with suppress(LookupError):
            async with db.transaction():
                await add(db, "eve")
                await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")
                async with db.transaction():
                    await add(db, "bob")
                raise LookupError
        async with db.transaction():
            await add(db, "cy")
    assert await names(db) == {"ada", "cy"}
    assert await db.documents.count() == 0


async def test_an_error_of_the_database_costs_the_inner_transaction_only(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    db = digitwin_db
    await raw.execute(NO_EVE)
    async with db.transaction():
        await add(db, "ada")
        with pytest.raises(InvalidInputError):
            async with db.transaction():
                await add(db, "eve")
        await add(db, "bob")
    assert await names(db) == {"ada", "bob"}


async def test_the_outer_one_takes_the_inner_one_along(digitwin_db: Database) -> None:
    db = digitwin_db
    with pytest.raises(LookupError):
        async with db.transaction():
            async with db.transaction():
                await add(db, "ada")
            raise LookupError
    assert await names(db) == set()


async def test_a_scope_joins_the_transaction(digitwin_db: Database) -> None:
    db = digitwin_db
    ada = await add(db, "ada")
    me = db.for_user(ada.id)
    with pytest.raises(LookupError):
        async with db.transaction(), me.transaction():
            await me.documents.create(title="Hours", content="From nine.")
            raise LookupError
    assert await me.documents.count() == 0


async def test_a_swallowed_error_does_not_pass_for_a_commit(
    digitwin_db: Database, raw: asyncpg.Connection, whole: Whole
) -> None:
    db = digitwin_db
    await raw.execute(NO_EVE)
    with pytest.raises(InvalidStateError):
        async with db.transaction():
            await add(db, "ada")
            with suppress(InvalidInputError):
                await add(db, "eve")
    assert await names(db) == set()
    await whole(db)


@pytest.mark.parametrize("way", ["repository", "queryset", "stream", "transaction"])
async def test_a_task_started_inside_is_refused(
    digitwin_db: Database, whole: Whole, way: str
) -> None:
    db = digitwin_db

    async def intrude() -> None:
        if way == "repository":
            await add(db, "eve")
        elif way == "queryset":
            await User.all().count()
        elif way == "stream":
            await names(db)
        else:
            async with db.transaction():
                pass

    async with db.transaction():
        await add(db, "ada")
        with pytest.raises(InvalidStateError, match="task that opened it"):
            await asyncio.ensure_future(intrude())
        await add(db, "bob")
    assert await names(db) == {"ada", "bob"}
    await whole(db)


async def test_a_task_started_inside_works_once_the_transaction_is_over(
    digitwin_db: Database,
) -> None:
    db = digitwin_db
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await add(db, "eve")

    async with db.transaction():
        task = asyncio.ensure_future(later())
        await add(db, "ada")
    over.set()
    await task
    assert await names(db) == {"ada", "eve"}


async def test_limiter_and_cache_stay_outside(digitwin_db: Database) -> None:
    """A roll-back must not give tokens back."""
    db = digitwin_db
    with pytest.raises(LookupError):
        async with db.transaction():
            await db.limits.consume("ada", "/chat", limit=1, window=3600)
            await db.cache.responses.set("question", "From nine.")
            raise LookupError
    assert not await db.limits.consume("ada", "/chat", limit=1, window=3600)
    assert await db.cache.responses.get("question") == "From nine."
