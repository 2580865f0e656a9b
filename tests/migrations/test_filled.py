"""A filled database of each earlier version takes the migrations that follow.

A migration that exists for a test alone stands for the next one, so that the newest version is
an earlier one here, and this package the release before.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.keys import master_keys
from digitwin.settings import Settings
from tests.migrations.conftest import AddNext
from tests.migrations.filling import Columns, columns_of, fill, rows_of
from tests.migrations.next_migration import NEWEST, NEXT

NAMES = [migration.name for migration in files.all_migrations()]


def to_all(columns: Columns, change: str) -> list[str]:
    """The same change of every table."""
    return [f"ALTER TABLE {table} {change}" for table in columns]


@pytest.fixture(params=range(1, NEWEST + 1))
async def filled(request: pytest.FixtureRequest, connection: asyncpg.Connection) -> int:
    """The version of the filled database."""
    version: int = request.param
    await fill(connection, version)
    return version


async def test_every_table_has_rows(filled: int, connection: asyncpg.Connection) -> None:
    """A migration that adds a table adds rows of it to ``filling.ROWS``."""
    rows = await rows_of(connection, await columns_of(connection))
    assert [table for table, held in rows.items() if not held] == []


async def test_every_row_is_kept_on_the_way_up_and_back(
    filled: int,
    connection: asyncpg.Connection,
    add_next: AddNext,
    target: Target,
    auto: Settings,
) -> None:
    columns = await columns_of(connection)
    before = await rows_of(connection, columns)
    add = to_all(columns, "ADD COLUMN later text NOT NULL DEFAULT 'x'")
    add_next(*add, down="; ".join(to_all(columns, "DROP COLUMN later")))
    assert await upgrade.upgrade(target, auto) == [*NAMES[filled:], NEXT]
    assert await rows_of(connection, columns) == before
    later = await columns_of(connection)
    assert all("later" in later[table] for table in columns)
    assert await upgrade.downgrade(target, auto, lose_data=True) == [NEXT]
    assert await rows_of(connection, columns) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET name = upper(name)",
        "DELETE FROM cache_usage",
        "ALTER TABLE deletions DROP COLUMN deleted_at",
    ],
)
async def test_a_loss_is_noticed(
    connection: asyncpg.Connection, add_next: AddNext, target: Target, auto: Settings, change: str
) -> None:
    """Without this the comparison above could be one that never fails."""
    await fill(connection, NEWEST)
    columns = await columns_of(connection)
    before = await rows_of(connection, columns)
    add_next(change)
    await upgrade.upgrade(target, auto)
    try:
        after = await rows_of(connection, columns)
    except asyncpg.UndefinedColumnError:
        return
    assert after != before


async def test_a_migration_that_the_rows_do_not_allow_changes_nothing(
    connection: asyncpg.Connection, add_next: AddNext, target: Target, auto: Settings
) -> None:
    """On an empty database it would pass."""
    await fill(connection, NEWEST)
    columns = await columns_of(connection)
    before = await rows_of(connection, columns)
    add_next("CREATE TABLE later (id int); ALTER TABLE users ADD COLUMN later text NOT NULL")
    with pytest.raises(DigiTwinError):
        await upgrade.upgrade(target, auto)
    assert await columns_of(connection) == columns
    assert await rows_of(connection, columns) == before
    assert (await upgrade.read_state(target, auto)).applied == tuple(NAMES)


async def live(db: Database, name: str) -> None:
    """A person's time with the service, through every domain, to their erasure."""
    user = await db.users.create(email=f"{name}@example.com", name=name)
    await db.consents.grant(user.id, purpose="voice", evidence="form")
    voice = await db.voices.create(
        user_id=user.id, name="Warm", status="ready", artifact_uri=f"s3://voices/{name}"
    )
    await db.voices.activate(voice.id)
    guest = digitwin.Participant("guest", name, name)
    session = await db.sessions.start(user.id, participant=guest, voice_model_id=voice.id)
    await db.sessions.add_turn(session.id, user_text="Hello", twin_text="Good morning")
    document = await db.documents.create(user_id=user.id, title="Hours", content="From nine")
    assert (await db.documents.search("hours", user_id=user.id))[0].document.id == document.id
    await db.documents.delete(document.id)
    await db.cache.embeddings.set("k", [0.5], user_id=user.id)
    assert await db.cache.embeddings.get("k", user_id=user.id) == [0.5]
    assert await db.limits.consume(user.id, "/chat", limit=9, window=60)
    await db.users.delete(user.id)
    await db.users.restore(user.id)
    assert (await db.voices.get(voice.id)).artifact_uri == f"s3://voices/{name}"
    assert (await db.sessions.with_turns(session.id)).turns[0].user_text == "Hello"
    assert [chunk async for chunk in db.privacy.export(user.id)]
    assert (await db.privacy.erase(user.id, reason="asked")).completed_at


async def test_the_release_before_works_on(
    connection: asyncpg.Connection, add_next: AddNext, target: Target, url: str, tmp_path: Path
) -> None:
    """One that is at work while every table grows, and one that starts on the grown schema."""
    await upgrade.upgrade(target, Settings())
    given = {"home": tmp_path, "migrate": "check", "master_key": master_keys.generate()}
    add = to_all(await columns_of(connection), "ADD COLUMN later text NOT NULL DEFAULT 'x'")
    async with digitwin.connect(url, **given) as at_work:
        await live(at_work, "ada")
        await grow(connection, "; ".join(add))
        await live(at_work, "bob")
    async with digitwin.connect(url, **given) as started:
        assert (await started.health()).schema_version == NEWEST + 1
        await live(started, "cleo")


async def grow(connection: asyncpg.Connection, up: str) -> None:
    """As the release to come migrates it, of which this package knows nothing."""
    async with connection.transaction():
        await connection.execute(up)
        await connection.execute("UPDATE digitwin_schema SET version = version + 1")
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ($1, 'digitwin', '{}')", NEXT
        )
