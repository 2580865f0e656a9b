"""A missing table, column or function: only a schema that is too old asks for a migration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import MigrationRequiredError, StatementFailedError
from digitwin.models import User
from digitwin.testing import DatabaseFactory

Whole = Callable[[Database], Awaitable[None]]
Call = Callable[[Database, User], Awaitable[object]]

BY_HAND = {
    "42703": "ALTER TABLE users RENAME COLUMN name TO called",
    "42P01": "ALTER TABLE users RENAME TO people",
}
OLDER = "UPDATE aerich SET version = 'x' || version; UPDATE digitwin_schema SET version = 1"


async def call(db: Database, ada: User) -> object:
    return await db.users.get_by_email("ada@example.com")


async def scoped(db: Database, ada: User) -> object:
    return await db.for_user(ada.id).users.update(ada.id, name="Ada Lovelace")


async def within(db: Database, ada: User) -> object:
    """On a pool whose every other connection is taken."""
    async with db.transaction():
        return await db.users.get(ada.id)


async def stream(db: Database, ada: User) -> object:
    return [user async for user in db.users.stream()]


async def model(db: Database, ada: User) -> object:
    return await User.filter(name="Ada")


async def model_within(db: Database, ada: User) -> object:
    async with db.transaction():
        return await User.filter(name="Ada")


CALLS = [call, scoped, within, stream, model, model_within]


@pytest.mark.parametrize("state", BY_HAND)
@pytest.mark.parametrize("way", CALLS)
async def test_a_schema_changed_by_hand_is_not_sent_to_a_migration(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, whole: Whole, way: Call, state: str
) -> None:
    await raw.execute(BY_HAND[state])
    with pytest.raises(StatementFailedError) as raised:
        await way(digitwin_db, ada)
    assert not raised.value.retryable
    assert raised.value.details["sqlstate"] == state
    assert raised.value.details["statement"] in str(raised.value)
    assert "ada" not in str(raised.value).lower()


@pytest.mark.parametrize("way", CALLS)
async def test_a_schema_without_a_migration_of_ours_asks_for_it(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    ada: User,
    way: Call,
) -> None:
    db = await digitwin_db_factory(digitwin_url, pool_max=2)
    await raw.execute(f"{BY_HAND['42703']}; {OLDER}")
    with db.activate(), pytest.raises(MigrationRequiredError):
        await way(db, ada)


async def test_a_named_statement_is_named(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    await raw.execute(BY_HAND["42703"])
    with pytest.raises(StatementFailedError, match=r"users\.by_email"):
        await call(digitwin_db, ada)


async def test_a_missing_function(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    await raw.execute("ALTER FUNCTION digitwin_is_erased RENAME TO was_erased")
    with pytest.raises(StatementFailedError, match=r"function.*cache\.set_of_person"):
        await digitwin_db.cache.responses.set(
            "k", "v", user_id="01890000-0000-7000-8000-00000000000a"
        )
