"""What one borrower of a connection does, the next one never sees."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

import digitwin as package
from digitwin.database import Database
from digitwin.kernel.sql import queries
from digitwin.models import User
from digitwin.testing import DatabaseFactory

Whole = Callable[[Database], Awaitable[None]]

SESSION_STATE = re.compile(
    r"""(?:^|[('";])\s*SET\s+(?!LOCAL\b|["{])|set_config\([^)]*,\s*false\s*\)"""
    r"|pg_(try_)?advisory_lock(_shared)?\(|\bCREATE\s+TEMP|\bLISTEN\b|\bWITH\s+HOLD\b"
)
"""What would outlive a statement on a pooled connection; SET where a statement begins. Keywords
are written in capitals throughout."""

ON_CONNECTIONS_OF_THEIR_OWN = {
    "cache/locks.py",
    "kernel/migrations/upgrade.py",
    "testing/databases.py",
}
"""Modules that hold a connection no pool lends."""


@pytest.fixture
async def two(digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(pool_min=1, pool_max=2)


async def state(db: Database) -> tuple[object, ...]:
    """All that a session can carry along, but ``jit``, which asyncpg itself sets and resets."""
    row = await db._core.aside.fetchrow(
        "SELECT current_setting('transaction_isolation') AS isolation, current_user AS role,"
        " nullif(current_setting('digitwin.allow_hard_delete', true), '') AS allowed,"
        " (SELECT count(*) FROM pg_cursors) AS cursors,"
        " (SELECT count(*) FROM pg_locks"
        "  WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,"
        " (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings"
        "  WHERE source = 'session' AND name <> 'jit') AS changed"
    )
    assert row is not None
    return tuple(row)


def test_no_statement_of_ours_sets_session_state() -> None:
    root = Path(package.__file__ or "").parent
    found = [
        (name, match[0])
        for path in [*root.rglob("*.py"), *root.rglob("*.sql")]
        if (name := path.relative_to(root).as_posix()) not in ON_CONNECTIONS_OF_THEIR_OWN
        for text in _statements(path)
        for match in SESSION_STATE.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET search_path = x",
        "  SET ROLE app",
        "'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'",
        "BEGIN; SET statement_timeout = 1",
        "SELECT set_config('a.b', $1, false)",
        "SELECT pg_advisory_lock(1)",
        "LISTEN channel",
        "CREATE TEMP TABLE x ()",
    ],
)
def test_the_search_for_session_state_finds_it(statement: str) -> None:
    assert SESSION_STATE.search(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL digitwin.allow_hard_delete = 'on'",
        "UPDATE users SET name = 'x'",
        "SELECT set_config('lock_timeout', '100ms', true)",
        "SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_the_search_for_session_state_leaves_the_rest_alone(statement: str) -> None:
    assert not SESSION_STATE.search(statement)


async def test_every_kind_of_work_leaves_a_connection_as_it_was(two: Database) -> None:
    before = await state(two)
    ada = await two.users.create(email="ada@example.com", name="Ada")
    async with two.transaction():
        await two.consents.grant(ada.id, purpose="voice", evidence="said so")
        await two.voices.create(user_id=ada.id, name="Voice", status="ready", is_active=True)
        async with two.transaction():
            await two.documents.create(user_id=ada.id, title="A", content="b")
    await two.limits.consume(ada.id, "/chat", limit=2, window=60)
    await two.cache.responses.set("key", "value", user_id=ada.id)
    await two.cache.responses.invalidate(user_id=ada.id)
    async for _ in two.users.stream():
        break
    with pytest.raises(package.AlreadyExistsError):
        await two.users.create(email="ada@example.com", name="Ada")
    await two.users.hard_delete(ada.id)
    await two.maintain()
    assert await state(two) == before


async def test_a_transaction_somebody_left_open_is_rolled_back(two: Database, whole: Whole) -> None:
    """Raw SQL through a model's client is the one way to leave one."""
    with two.activate():
        await User._meta.db.execute_script(
            "BEGIN; INSERT INTO users (id, email, name)"
            " VALUES (gen_random_uuid(), 'left@example.com', 'Left')"
        )
    assert await two.users.count() == 0
    assert await two._core.db.fetchval("SELECT pg_current_xact_id_if_assigned() IS NULL")
    await whole(two)


async def test_a_cancelled_statement_is_over_before_its_connection_is_lent_again(
    two: Database, whole: Whole
) -> None:
    sleeping = asyncio.create_task(two._core.aside.fetchval("SELECT pg_sleep(30)"))
    while (await two.health()).pool.in_use == 0:
        pass
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert (
        await asyncio.gather(*(two._core.aside.fetchval("SELECT 1") for _ in range(8))) == [1] * 8
    )
    await whole(two)


async def test_a_connection_past_its_lifetime_is_replaced(
    digitwin_db_factory: DatabaseFactory, whole: Whole
) -> None:
    db = await digitwin_db_factory(pool_min=1, pool_max=2, max_lifetime=0.01)
    query = "SELECT pg_backend_pid() FROM pg_sleep(0.02)"
    pids = {await db._core.aside.fetchval(query) for _ in range(3)}
    assert len(pids) == 3
    await whole(db)


async def test_without_a_lifetime_one_connection_serves_call_after_call(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory(pool_min=1, pool_max=2, max_lifetime=0)
    pids = {await db._core.aside.fetchval("SELECT pg_backend_pid()") for _ in range(20)}
    assert len(pids) == 1


async def test_unused_connections_are_closed(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str
) -> None:
    db = await digitwin_db_factory(
        digitwin_url, pool_min=0, pool_max=4, idle_timeout=0.05, application_name="soon idle"
    )
    await asyncio.gather(*(db._core.aside.fetchval("SELECT pg_sleep(0.01)") for _ in range(4)))
    admin = await asyncpg.connect(digitwin_url)
    try:
        async with asyncio.timeout(10):
            while await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soon idle'"
            ):
                pass
    finally:
        await admin.close()
    assert (await db.health()).pool.size == 0
    assert await db.users.count() == 0


def _statements(path: Path) -> list[str]:
    """The texts of a file in which a statement would stand, without comments."""
    if path.suffix == ".sql":
        return list(queries.parse(path.read_text("utf-8")).values())
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


@pytest.mark.parametrize("well", [True, False])
async def test_after_an_error_of_the_drivers_own_state_a_connection_is_replaced(
    db: Database, well: bool
) -> None:
    """Two statements at once: whatever the driver thinks is under way there, nobody inherits it."""
    connection = await db._core.pool.acquire()
    pid = connection.get_server_pid()
    first = asyncio.create_task(connection.ask("fetchval", "SELECT pg_sleep(0.05)"))
    await asyncio.sleep(0)
    with pytest.raises(asyncpg.InterfaceError):
        await connection.ask("fetchval", "SELECT 1")
    await first
    await db._core.pool.release(connection, well=well)
    for _ in range(2 * db.settings.pool_max):
        assert await db._core.db.fetchval("SELECT pg_backend_pid()") != pid
