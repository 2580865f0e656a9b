"""A scope ends with its statement, however the statement ends: the same connection is clean."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConnectionFailedError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    OutcomeUnknownError,
    QueryTimeoutError,
)
from digitwin.kernel.connection import dsn, held_statements, scopes
from digitwin.kernel.connection.connections import WHO
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.scopes.test_row_security import a_login
from tests.support.waiting import UntilWaiting

Call = Callable[[Executor, User], Awaitable[object]]

RENAME = "UPDATE users SET name = $1"
ADD = "INSERT INTO voice_models (user_id, id, name) VALUES ($1, $2, 'Calm')"
STATE = """
SELECT pg_backend_pid() AS pid, current_user <> session_user AS in_role,
    nullif(current_setting('digitwin.user_id', true), '') AS person,
    pg_current_xact_id_if_assigned() AS transaction"""
IDLE = """
SELECT state, xact_start, (SELECT count(*) FROM pg_locks WHERE pid = $1 AND relation > 16384)
FROM pg_stat_activity WHERE pid = $1"""


@pytest.fixture
async def db(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    """On a connection that call after call is made on, and another."""
    return await digitwin_db_factory(
        digitwin_url, pool_min=1, pool_max=2, statement_timeout=0.3, lock_timeout=0.1
    )


@pytest.fixture
async def ada(db: Database) -> User:
    return await db.users.create(email="ada@example.com", name="Ada")


@pytest.fixture
async def hers(db: Database, ada: User) -> Executor:
    """Statements in Ada's scope."""
    return db.for_user(ada.id)._core.db


async def clean(db: Database) -> int:
    """Assert that an unscoped statement runs unscoped, and return its server process."""
    row = await db._core.db.fetchrow(STATE)
    assert row is not None
    assert (row["in_role"], row["person"], row["transaction"]) == (False, None, None)
    pid: int = row["pid"]
    return pid


async def good_read(hers: Executor, ada: User) -> None:
    assert await hers.fetchval("SELECT count(*) FROM users") == 1


async def good_write(hers: Executor, ada: User) -> None:
    assert await hers.execute(RENAME, "Countess") == "UPDATE 1"


async def good_relation(hers: Executor, ada: User) -> None:
    client: Any = ada._meta.db
    me = client.under(hers._scope)
    assert len(await User.all().using_db(me)) == 1
    assert await User.all().using_db(me).update(name="Countess") == 1


async def rows_left(hers: Executor, ada: User) -> None:
    assert await hers.fetchval("SELECT n FROM generate_series(1, 100000) AS n") == 1


async def failed_on_the_server(hers: Executor, ada: User) -> None:
    with pytest.raises(InvalidInputError):
        await hers.fetchval("SELECT $1::text::int", "x")


async def failed_half_way(hers: Executor, ada: User) -> None:
    with pytest.raises(DigiTwinError):
        await hers.fetch("SELECT 1 / (9 - n) FROM generate_series(1, 9) AS n")


async def not_to_be_prepared(hers: Executor, ada: User) -> None:
    with pytest.raises(DigiTwinError):
        await hers.fetchval("SELECT nothing")


async def refused_by_a_policy(hers: Executor, ada: User) -> None:
    with pytest.raises(InvalidStateError, match="row-level security"):
        await hers.execute(ADD, uuid7(), uuid7())


async def taken(hers: Executor, ada: User) -> None:
    id = uuid7()
    await hers.execute(ADD, ada.id, id)
    with pytest.raises(AlreadyExistsError):
        await hers.execute(ADD, ada.id, id)


async def not_to_be_encoded(hers: Executor, ada: User) -> None:
    """At first with the statement just prepared, then with a held one."""
    for _ in range(3):
        with pytest.raises(InvalidInputError):
            await hers.fetchval("SELECT count(*) FROM users WHERE version = $1::int", "x")


async def too_slow(hers: Executor, ada: User) -> None:
    with pytest.raises(QueryTimeoutError):
        await hers.fetchval("SELECT pg_sleep(60)")


ENDS: list[Call] = [
    good_read,
    good_write,
    good_relation,
    rows_left,
    failed_on_the_server,
    failed_half_way,
    not_to_be_prepared,
    refused_by_a_policy,
    taken,
    not_to_be_encoded,
    too_slow,
]


@pytest.mark.parametrize("end", ENDS)
async def test_however_a_statement_ends_its_connection_is_clean(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User, end: Call
) -> None:
    pid = await clean(db)
    for _ in range(2):
        await end(hers, ada)
        state, began, locks = await raw.fetchrow(IDLE, pid)
        assert (state, began, locks) == ("idle", None, 0)
        assert await clean(db) == pid
    assert tuple(await hers.fetchrow(WHO) or ()) == (scopes.APPLICATION, str(ada.id))


async def test_a_lock_that_is_not_granted(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User
) -> None:
    pid = await clean(db)
    async with raw.transaction():
        await raw.execute("SELECT FROM users FOR UPDATE")
        with pytest.raises(QueryTimeoutError):
            await hers.execute(RENAME, "Countess")
    assert await clean(db) == pid
    assert await raw.fetchval("SELECT name FROM users") == "Ada"


async def test_cancelled_at_any_turn_of_the_loop(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User
) -> None:
    """Until a call ends before its turn comes."""
    for held in (False, True):
        for turns in range(1000):
            sql = RENAME if held else f"{RENAME} /* {uuid4()} */"
            task = asyncio.ensure_future(hers.execute(sql, "Countess"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await clean(db)
            if not task.cancelled():
                break
        assert turns > 1
        assert not task.cancelled()


@pytest.mark.parametrize("before", [False, True], ids=["answered", "unsent"])
async def test_cancelled_on_its_way(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, ada: User, before: bool
) -> None:
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        db = await digitwin_db_factory(proxy.url, pool_min=1, pool_max=2)
        hers = db.for_user(ada.id)._core.db
        await hers.fetchval("SELECT $1::text", "held")
        for n in range(4):
            hold = proxy.hold(f"mark {n}", before=before)
            task = asyncio.ensure_future(hers.fetchval("SELECT $1::text", f"mark {n}"))
            async with asyncio.timeout(10):
                await (hold.seen if before else hold.answered).wait()
                task.cancel()
                hold.release()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await clean(db)
        pool = (await db.health()).pool
        assert (pool.in_use, pool.size - pool.idle) == (0, 0)


async def test_a_killed_backend(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User, until_waiting: UntilWaiting
) -> None:
    pid = await clean(db)
    async with asyncio.timeout(10), raw.transaction():
        await raw.execute("SELECT FROM users FOR UPDATE")
        task = asyncio.ensure_future(hers.execute(RENAME, "Countess"))
        await until_waiting()
        await raw.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(OutcomeUnknownError):
            await task
    assert await raw.fetchval("SELECT name FROM users") == "Ada"
    assert await clean(db) != pid


async def test_a_write_is_stored_when_its_call_returns(
    raw: asyncpg.Connection, hers: Executor
) -> None:
    for n in range(20):
        await hers.execute(RENAME, f"Ada {n}")
        assert await raw.fetchval("SELECT name FROM users") == f"Ada {n}"


async def test_what_fails_at_the_commit_is_an_error_and_stores_nothing(
    db: Database, raw: asyncpg.Connection, hers: Executor
) -> None:
    """A deferred constraint: the statement is complete, and Sync is refused."""
    await raw.execute(
        "CREATE TABLE late (owner uuid REFERENCES users DEFERRABLE INITIALLY DEFERRED);"
        f"GRANT ALL ON late TO {scopes.APPLICATION}"
    )
    pid = await clean(db)
    with pytest.raises(NotFoundError):
        await hers.execute("INSERT INTO late VALUES ($1)", uuid7())
    assert await raw.fetchval("SELECT count(*) FROM late") == 0
    assert await clean(db) == pid


async def test_too_many_values(db: Database, hers: Executor) -> None:
    """The driver refuses them with an error of its own state: the connection is replaced."""
    await hers.fetchval("SELECT $1::int", 1)
    pid = await clean(db)
    with pytest.raises(DigiTwinError):
        await hers.fetchval("SELECT $1::int", 1, 2)
    assert await clean(db) != pid


async def test_a_role_that_goes_missing_stores_nothing(
    db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    """Before the role's first statement on a connection, and afterwards."""
    name = f"faults_{uuid4().hex[:12]}"
    scope = scopes.Scope(name, ada.id)
    for known in (False, True):
        executor = db._core.scoped(scope).db
        if known:
            await raw.execute(f"CREATE ROLE {name}")
            await raw.execute(f"GRANT ALL ON users TO {name}")
            await executor.fetchval("SELECT count(*) FROM users")
            await raw.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
        with pytest.raises(ConfigurationError, match="is missing"):
            await executor.execute(RENAME, "Countess")
        assert await raw.fetchval("SELECT name FROM users") == "Ada"
        await clean(db)


async def test_a_role_that_is_taken_away_and_given_back(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    ada: User,
) -> None:
    roles = (scopes.APPLICATION, scopes.SERVICE)
    async with (
        a_login(digitwin_url, *roles) as url,
        connect(url, migrate="skip", pool_min=1, pool_max=2) as db,
    ):
        me, login = db.for_user(ada.id), dsn.parse(url).user
        for _ in range(3):
            await me.users.update(ada.id, name="Countess")
            model = await me.users.get(ada.id)
            await raw.execute(f"REVOKE {scopes.APPLICATION} FROM {login}")
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="not granted"):
                    await me.users.update(ada.id, name="Nobody")
                with pytest.raises(ConfigurationError, match="not granted"):
                    await model.voice_models
                assert await raw.fetchval("SELECT name FROM users") == "Countess"
            await raw.execute(f"GRANT {scopes.APPLICATION} TO {login}")
        pool = (await db.health()).pool
        assert (pool.in_use, pool.size - pool.idle) == (0, 0)


async def test_a_type_that_changes_between_two_calls(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User
) -> None:
    """The statement is prepared again, which must not cost it its scope."""
    other = await db.users.create(email="bob@example.com", name="Bob")
    kinds = ("text", "varchar(100)") * 2
    for kind in kinds:
        assert [row["id"] for row in await hers.fetch("SELECT * FROM users")] == [ada.id]
        await raw.execute(f"ALTER TABLE users ALTER COLUMN name TYPE {kind}")
        assert [row["id"] for row in await hers.fetch("SELECT * FROM users")] == [ada.id]
        renamed = "UPDATE users SET name = $1 RETURNING *"
        assert [row["id"] for row in await hers.fetch(renamed, "Countess")] == [ada.id]
        await clean(db)
    assert await raw.fetchval("SELECT name FROM users WHERE id = $1", other.id) == "Bob"


async def test_a_script_of_tortoise_s_is_one_transaction_in_the_scope(
    db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    """Several statements cannot be prepared, so they do not go in one write."""
    await db.users.create(email="bob@example.com", name="Bob")
    client = db._core.client.under(scopes.of_person(ada.id))
    pid = await clean(db)
    await client.execute_script("UPDATE users SET name = 'One'; UPDATE users SET name = 'Two'")
    with pytest.raises(DigiTwinError):
        await client.execute_script("UPDATE users SET name = 'Three'; SELECT 1 / 0")
    names = await raw.fetch("SELECT name FROM users ORDER BY name")
    assert [row["name"] for row in names] == ["Bob", "Two"]
    assert await clean(db) == pid


@pytest.mark.parametrize("most", [1, 3])
async def test_statements_that_make_room_for_one_another(
    db: Database,
    raw: asyncpg.Connection,
    hers: Executor,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    """The entry of the scope is not one of them; what has made room is closed on the server."""
    monkeypatch.setattr(held_statements, "MAX_HELD", most)
    for n in [0, 1, 2, 3, 4, 0, 1, 0, 4, 4, 3, 2, 1, 0] * 3:
        assert await hers.fetchval(f"SELECT {n} FROM users") == n
    kept = await db._core.db.fetchval("SELECT count(*) FROM pg_prepared_statements")
    assert kept <= most + 5  # the scope's entry, this one, one not closed yet, two of the start
    await clean(db)


async def test_in_transactions_savepoints_and_streams(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User
) -> None:
    bob = await db.users.create(email="bob@example.com", name="Bob")
    me = db.for_user(ada.id)

    async def seen() -> list[Any]:
        rows = await hers.fetch("SELECT id FROM users")
        return [row["id"] for row in rows]

    async with db.transaction():
        assert await seen() == [ada.id]
        await clean_within(db)
        with pytest.raises(LookupError):
            async with me.transaction():
                assert [user.id for user in await User.all()] == [ada.id]
                await hers.execute(RENAME, "Nobody")
                raise LookupError
        await clean_within(db)
        async for user in me.users.stream():
            assert user.id == ada.id
            await clean_within(db)
        assert await seen() == [ada.id]
    await clean(db)
    assert [user.id async for user in me.users.stream()] == [ada.id]
    await clean(db)
    names = await raw.fetch("SELECT name FROM users ORDER BY name")
    assert [row["name"] for row in names] == ["Ada", "Bob"]
    assert bob.id


async def clean_within(db: Database) -> None:
    """As :func:`clean`, in a transaction that may have written."""
    row = await db._core.db.fetchrow(STATE)
    assert row is not None
    assert (row["in_role"], row["person"]) == (False, None)


async def test_one_person_on_two_handles(
    db: Database, digitwin_url: str, digitwin_db_factory: DatabaseFactory, ada: User
) -> None:
    """Interleaved; the same person has a scope on each."""
    elsewhere = await digitwin_db_factory()
    eve = await elsewhere.users.create(id=ada.id, email="eve@example.com", name="Eve")
    assert eve.id == ada.id

    async def read(handle: Database, name: str) -> None:
        for _ in range(50):
            assert (await handle.for_user(ada.id).users.get(ada.id)).name == name
            await clean(handle)

    await asyncio.gather(*(read(*who) for who in [(db, "Ada"), (elsewhere, "Eve")] * 3))


async def test_another_statement_than_the_expected_one_is_not_sent(
    db: Database, raw: asyncpg.Connection, hers: Executor, ada: User
) -> None:
    """Its connection ends and is replaced, also if that happens more often than there are some."""
    for _ in range(2 * db.settings.pool_max + 1):
        await hers.execute(RENAME, "Ada")
        connection, _ = db._core.pool._idle_connections._idle[-1]
        statements = connection._held._held
        sql = hers._scope.mark(RENAME)
        statements[sql] = statements[sql]._replace(head=b"\0another\0")
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionFailedError):
                await hers.execute(RENAME, "Countess")
    assert await raw.fetchval("SELECT name FROM users") == "Ada"
    await clean(db)
    assert (await db.health()).pool.in_use == 0
