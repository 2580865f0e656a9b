"""The roles are made by whoever may, and what they own can still be migrated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest

from digitwin import roles
from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import upgrade
from digitwin.settings import Settings
from tests.migrations.conftest import Done
from tests.support.tables import SECURED

OWNERS = (
    "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S') ORDER BY 1"
)


@pytest.fixture
async def managed(target: Target, connection: asyncpg.Connection) -> AsyncIterator[Target]:
    """The database as a cloud gives it: its administrator is no superuser."""
    name = target.database
    await connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE")
    await connection.execute(f"ALTER DATABASE {name} OWNER TO {name}")
    await connection.execute(f"ALTER SCHEMA public OWNER TO {name}")
    for role in roles.ROLES:  # of another database of this server, where there is one
        with suppress(asyncpg.UndefinedObjectError):
            await connection.execute(f"GRANT {role} TO {name} WITH ADMIN OPTION")
    yield replace(target, user=name)
    await connection.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
    await connection.execute(f"DROP OWNED BY {name} CASCADE")
    await connection.execute(f"DROP ROLE {name}")


async def test_an_administrator_without_superuser_makes_them(
    managed: Target, connection: asyncpg.Connection
) -> None:
    await upgrade.upgrade(managed, Settings())
    administrator = await asyncpg.connect(managed.url)
    try:
        for _ in range(2):
            await roles.apply(administrator)
        assert [row[0] for row in await connection.fetch(OWNERS)] == [
            roles.OWNER,
            roles.RETENTION,
        ]
        await administrator.execute("ALTER TABLE users ADD COLUMN later int")
        await administrator.execute("ALTER TABLE audit_logs ADD COLUMN later int")
        await administrator.execute(
            "INSERT INTO users (id, email, name) VALUES"
            " (gen_random_uuid(), 'ada@example.com', 'Ada')"
        )
        async with administrator.transaction():
            await administrator.execute("SET LOCAL ROLE digitwin_app")
            assert await administrator.fetchval("SELECT count(*) FROM users") == 0
    finally:
        await administrator.close()


async def test_whoever_may_not_is_told_what_to_do(
    target: Target, migrated: asyncpg.Connection
) -> None:
    login = f"{target.database}_login"
    await migrated.execute(f"CREATE ROLE {login} LOGIN")
    stranger = await asyncpg.connect(replace(target, user=login).url)
    try:
        with pytest.raises(ConfigurationError, match="digitwin db roles"):
            await roles.apply(stranger)
    finally:
        await stranger.close()
        await migrated.execute(f"DROP ROLE {login}")
    assert not await migrated.fetchval("SELECT bool_or(relrowsecurity) FROM pg_class")


async def test_a_login_that_is_not_there_is_named(migrated: asyncpg.Connection) -> None:
    with pytest.raises(ConfigurationError, match="nobody_of_that_name"):
        await roles.apply(migrated, logins=["nobody_of_that_name"])
    with pytest.raises(InvalidInputError):
        await roles.apply(migrated, logins=["a b"])
    assert not await migrated.fetchval("SELECT bool_or(relrowsecurity) FROM pg_class")


async def test_many_databases_of_one_server_make_them_at_once(
    server: str, target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    names = [f"{target.database}_{n}" for n in range(3)]
    for name in names:
        await connection.execute(f"CREATE DATABASE {name}")
    try:

        async def make(name: str) -> None:
            place = replace(target, database=name)
            await upgrade.ensure(place, auto)
            there = await asyncpg.connect(place.url)
            try:
                assert await roles.ensure(there)
                assert await roles.ensure(there)
            finally:
                await there.close()

        await asyncio.gather(*map(make, names))
    finally:
        for name in names:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_command_prints_what_it_would_apply(
    in_checkout: Callable[..., Done], migrated: asyncpg.Connection
) -> None:
    command = ("-c", "from digitwin.cli.app import main; main()", "db", "roles")
    printed = await asyncio.to_thread(in_checkout, *command)
    assert printed.returncode == 0, printed.stderr
    assert not await migrated.fetchval("SELECT bool_or(relrowsecurity) FROM pg_class")
    await migrated.execute(printed.stdout)
    by_hand = await _policies(migrated)
    done = await asyncio.to_thread(in_checkout, *command, "--apply")
    assert done.returncode == 0, done.stderr
    assert await _policies(migrated) == by_hand
    assert len(by_hand) >= 4 * len(SECURED)


async def _policies(connection: asyncpg.Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT tablename, policyname, roles::text, cmd, qual FROM pg_policies ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]
