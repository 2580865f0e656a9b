"""Whatever way the schema is brought there, it is the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import asyncpg
import pytest

from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings
from tests.migrations import catalog
from tests.migrations.conftest import Done
from tests.support import checkout

Run = Callable[..., Done]

KNOWN = [migration.name for migration in files.all_migrations()]
ALL = len(KNOWN)


async def by_aerich(run: Run, target: Target) -> None:
    done = run("-m", "aerich", "upgrade")
    assert done.returncode == 0, done.stderr
    assert "Success" in done.stdout


async def by_command_line(run: Run, target: Target) -> None:
    done = run("-c", "from digitwin.cli.app import main; main()", "db", "upgrade")
    assert done.returncode == 0, done.stderr


async def by_connecting(run: Run, target: Target) -> None:
    await upgrade.ensure(target, Settings(migrate="auto"))


ROADS = pytest.mark.parametrize("take", [by_aerich, by_command_line, by_connecting])


@ROADS
async def test_every_road_leads_to_the_same_schema(
    take: Callable[..., object],
    in_checkout: Run,
    target: Target,
    connection: asyncpg.Connection,
) -> None:
    await take(in_checkout, target)  # type: ignore[misc]
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_aerich_finds_nothing_to_do_after_ours(
    in_checkout: Run, target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    ours = await connection.fetch("SELECT version, app, content FROM aerich")
    assert "No upgrade items found" in in_checkout("-m", "aerich", "upgrade").stdout
    assert "No changes detected" in in_checkout("-m", "aerich", "migrate").stdout
    assert await connection.fetch("SELECT version, app, content FROM aerich") == ours


async def test_both_write_the_same_book(
    in_checkout: Run, target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    book = "SELECT version, app, content FROM aerich"
    await upgrade.ensure(target, auto)
    ours = await connection.fetch(book)
    await upgrade.downgrade(target, auto)
    await by_aerich(in_checkout, target)
    assert await connection.fetch(book) == ours


async def test_down_and_up_again(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    assert await upgrade.downgrade(target, auto, steps=ALL) == KNOWN[::-1]
    left = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " UNION ALL SELECT proname FROM pg_proc"
        " WHERE pronamespace = current_schema()::regnamespace ORDER BY 1"
    )
    assert [row[0] for row in left] == [
        "aerich",
        "aerich_id_seq",
        "aerich_pkey",
        "uq_aerich__version",
    ]
    assert await connection.fetchval("SELECT count(*) FROM aerich") == 0
    assert await upgrade.upgrade(target, auto)
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


async def test_aerich_takes_back_what_ours_applied(
    in_checkout: Run, target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    for _ in range(ALL):
        done = in_checkout("-m", "aerich", "downgrade", "--yes")
        assert done.returncode == 0, done.stderr
    assert await connection.fetchval("SELECT to_regclass('users')") is None


async def test_a_schema_of_its_own(
    in_checkout: Run, target: Target, connection: asyncpg.Connection
) -> None:
    """Nothing lands anywhere but where the settings say; the schema is made if need be."""
    settings = Settings(migrate="auto", schema="twins")
    await upgrade.ensure(target, settings)
    await connection.execute("SET search_path TO twins")
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()
    await connection.execute("SET search_path TO public")
    assert await catalog.read(connection) == "\n"
    done = in_checkout("-m", "aerich", "upgrade", DIGITWIN_SCHEMA="twins")
    assert "No upgrade items found" in done.stdout


async def test_whoever_owns_a_schema_alone_may_migrate_it(
    target: Target, connection: asyncpg.Connection
) -> None:
    """No right on the database is needed where the schema is there."""
    await connection.execute(f"CREATE ROLE {target.database} LOGIN")
    await connection.execute(f"CREATE SCHEMA twins AUTHORIZATION {target.database}")
    theirs = replace(target, user=target.database)
    try:
        assert await upgrade.upgrade(theirs, Settings(schema="twins"))
        await connection.execute("SET search_path TO twins")
        assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()
    finally:
        await connection.execute(f"DROP OWNED BY {target.database} CASCADE")
        await connection.execute(f"DROP ROLE {target.database}")


def test_migrations_name_no_schema() -> None:
    for path in checkout.root().glob("aerich_migrations/digitwin/*.py"):
        assert "public." not in path.read_text()
