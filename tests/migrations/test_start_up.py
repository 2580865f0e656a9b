"""What a handle does about the schema it finds."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest
from tortoise import fields
from tortoise.context import TortoiseContext
from tortoise.models import Model

from digitwin.errors import ConfigurationError, ConnectionFailedError, MigrationRequiredError
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings

CHECK = Settings(migrate="check")
KNOWN = len(files.all_migrations())


async def test_check_names_the_command(target: Target) -> None:
    with pytest.raises(MigrationRequiredError, match="digitwin db upgrade") as refused:
        await upgrade.ensure(target, CHECK)
    assert refused.value.details["schema_version"] == 0
    assert len(refused.value.details["pending"]) == KNOWN


async def test_check_changes_nothing(target: Target, connection: asyncpg.Connection) -> None:
    with pytest.raises(MigrationRequiredError):
        await upgrade.ensure(target, CHECK)
    assert not await connection.fetch("SELECT 1 FROM pg_class WHERE relname = 'aerich'")


async def test_an_ordinary_server_is_checked_and_the_embedded_one_upgraded(url: str) -> None:
    undecided = Settings()
    with pytest.raises(MigrationRequiredError):
        await upgrade.ensure(dsn.parse(url), undecided)
    await upgrade.ensure(dsn.parse(url, embedded=True), undecided)
    await upgrade.ensure(dsn.parse(url), undecided)


async def test_skip_does_not_look() -> None:
    nowhere = dsn.parse("postgresql://nobody@127.0.0.1:1/nothing")
    await upgrade.ensure(nowhere, Settings(migrate="skip"))


async def test_a_schema_that_fits_costs_one_query(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    sent: list[str] = []
    with connection.query_logger(lambda record: sent.append(record.query)):
        await upgrade.state(connection)
        await asyncio.sleep(0)  # the logger is called soon
    assert len(sent) == 1


async def newer(connection: asyncpg.Connection, *, oldest_reader: int) -> None:
    """The schema of a release to come."""
    await connection.execute(
        "UPDATE digitwin_schema SET version = $1, oldest_reader = $2", KNOWN + 1, oldest_reader
    )
    await connection.execute(
        "INSERT INTO aerich (version, app, content) VALUES ($1, 'digitwin', '{}')",
        f"{KNOWN}_20991231235959_from_the_future.py",
    )


async def test_a_newer_schema_that_allows_it_is_worked_with(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    await newer(connection, oldest_reader=KNOWN)
    await upgrade.ensure(target, CHECK)
    await upgrade.ensure(target, auto)
    state = await upgrade.state(connection)
    assert (state.version, state.pending) == (KNOWN + 1, ())


async def test_a_newer_schema_that_does_not_is_refused(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    await newer(connection, oldest_reader=KNOWN + 1)
    for settings in (auto, CHECK):
        with pytest.raises(MigrationRequiredError, match="upgrade the package"):
            await upgrade.ensure(target, settings)


async def test_what_a_newer_release_applied_is_not_taken_back(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    await newer(connection, oldest_reader=KNOWN)
    with pytest.raises(MigrationRequiredError, match="from_the_future"):
        await upgrade.downgrade(target, auto)
    assert (await upgrade.history(target, auto))[-1].name.endswith("from_the_future.py")


async def test_another_history_is_refused(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await upgrade.ensure(target, auto)
    await connection.execute(
        "UPDATE aerich SET version = '0_20200101000000_other.py' WHERE version LIKE '0_%'"
    )
    for settings in (auto, CHECK):
        with pytest.raises(MigrationRequiredError, match="different migration histories"):
            await upgrade.ensure(target, settings)
    with pytest.raises(MigrationRequiredError, match="different migration histories"):
        await upgrade.upgrade(target, auto)


@pytest.mark.parametrize("mode", ["auto", "check"])
async def test_tables_of_our_names_that_are_not_ours_are_refused(
    mode: str, target: Target, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1)")
    with pytest.raises(ConfigurationError, match="DIGITWIN_SCHEMA") as refused:
        await upgrade.ensure(target, Settings(migrate=mode))
    assert refused.value.details["tables"] == ["users"]
    assert await connection.fetchval("SELECT count(*) FROM users") == 1


async def test_a_neighbour_in_another_schema_is_none_of_our_business(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE SCHEMA theirs; CREATE TABLE theirs.users (id int)")
    await upgrade.ensure(target, auto)
    assert await connection.fetchval("SELECT count(*) FROM theirs.users") == 0


async def test_a_neighbours_lines_in_aerichs_book_stay(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        "CREATE TABLE aerich (id serial PRIMARY KEY, version varchar(255) NOT NULL,"
        " app varchar(100) NOT NULL, content jsonb NOT NULL);"
        "INSERT INTO aerich (version, app, content) VALUES ('0_1_init.py', 'models', '{}')"
    )
    await upgrade.ensure(target, auto)
    await upgrade.downgrade(target, auto, steps=len(files.all_migrations()))
    assert await connection.fetchval("SELECT string_agg(app, ',') FROM aerich") == "models"


async def test_a_failed_migration_leaves_nothing(
    target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    """A sequence of our name is in nobody's way before the middle of the script."""
    await connection.execute("CREATE SEQUENCE cache_epoch_seq")
    with pytest.raises(Exception, match="cache_epoch_seq"):
        await upgrade.upgrade(target, auto)
    assert await connection.fetchval("SELECT to_regclass('users')") is None
    assert await connection.fetchval("SELECT to_regclass('aerich')") is None


async def test_inside_another_applications_tortoise(
    server: str, target: Target, auto: Settings, connection: asyncpg.Connection
) -> None:
    """Its database is not the one that is migrated, and its models go on working."""
    there = dsn.parse(server).connect_args()
    config = {
        "connections": {
            "default": {"engine": "tortoise.backends.asyncpg", "credentials": there},
        },
        "apps": {"theirs": {"models": [__name__], "default_connection": "default"}},
    }
    async with TortoiseContext() as context:
        await context.init(config=config)
        await upgrade.ensure(target, auto)
        assert await Theirs.all().count() > 0
    assert await connection.fetchval("SELECT to_regclass('users')") == "users"
    assert not await _in(server, "SELECT to_regclass('users')")


class Theirs(Model):
    """A table that every database has."""

    datname = fields.CharField(max_length=64, primary_key=True)

    class Meta:
        table = "pg_database"


async def _in(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_what_was_applied_is_logged(
    target: Target, auto: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="digitwin.migrations"):
        await upgrade.upgrade(target, auto)
    assert [record.message for record in caplog.records] == [
        f"Applied migration {migration.name}" for migration in files.all_migrations()
    ]


async def test_a_missing_database_is_one_clear_error(server: str) -> None:
    missing = dsn.parse(server.replace("/postgres?", "/no_such_database?"))
    with pytest.raises(ConnectionFailedError, match="does not exist"):
        await upgrade.ensure(missing, CHECK)
