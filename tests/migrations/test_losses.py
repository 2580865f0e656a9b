"""A downgrade that would lose what no upgrade brings back is refused."""

from __future__ import annotations

import asyncpg
import pytest

from digitwin.errors import InvalidStateError
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings
from tests.migrations.conftest import AddNext
from tests.migrations.filling import columns_of, fill, rows_of
from tests.migrations.next_migration import NEWEST, NEXT

NAMES = [migration.name for migration in files.all_migrations()]
KEYS = "CREATE TABLE IF NOT EXISTS vault_keys (user_id uuid PRIMARY KEY, wrapped bytea)"
COLUMN = "ALTER TABLE participants ADD COLUMN IF NOT EXISTS sealed text"
BACK = "DROP TABLE vault_keys; ALTER TABLE participants DROP COLUMN sealed"


@pytest.fixture
async def filled(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A database with rows in every table."""
    await fill(connection, NEWEST)
    return connection


@pytest.mark.parametrize(
    ("use", "lost"),
    [
        ("INSERT INTO vault_keys VALUES (gen_random_uuid(), 'k')", "rows of vault_keys"),
        ("UPDATE participants SET sealed = 'dt1:AAAA'", "participants.sealed"),
        ("UPDATE voice_models SET artifact_uri = 'dt1:9AAA'", "addresses sealed by vault keys"),
    ],
)
async def test_what_only_the_newer_schema_can_read_is_kept(
    use: str,
    lost: str,
    filled: asyncpg.Connection,
    add_next: AddNext,
    target: Target,
    auto: Settings,
) -> None:
    """Rows of a dropped table, values of a dropped column, and what the migration declares."""
    sealed = "SELECT EXISTS (SELECT FROM voice_models WHERE artifact_uri LIKE 'dt1:9%')"
    add_next(KEYS, COLUMN, down=BACK, loses={"addresses sealed by vault keys": sealed})
    await upgrade.upgrade(target, auto)
    await filled.execute(use)
    columns = await columns_of(filled)
    before = await rows_of(filled, columns)
    with pytest.raises(InvalidStateError, match=lost) as refused:
        await upgrade.downgrade(target, auto, steps=2)
    assert refused.value.details == {"migration": NEXT, "lost": [lost]}
    assert await rows_of(filled, columns) == before
    assert (await upgrade.history(target, auto))[-1].applied
    assert await upgrade.downgrade(target, auto, lose_data=True) == [NEXT]


async def test_an_unused_addition_is_reverted(
    filled: asyncpg.Connection, add_next: AddNext, target: Target, auto: Settings
) -> None:
    add_next(KEYS, COLUMN, down=BACK, loses={"nothing": "SELECT false"})
    await upgrade.upgrade(target, auto)
    assert await upgrade.downgrade(target, auto) == [NEXT]
    assert await upgrade.downgrade(target, auto) == [NAMES[-1]]


async def test_nothing_is_reverted_if_an_earlier_migration_would_lose_something(
    filled: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    """The first one's way back drops every table."""
    with pytest.raises(InvalidStateError, match=f"Reverting {NAMES[0]} would lose rows of"):
        await upgrade.downgrade(target, auto, steps=len(NAMES))
    assert [step.applied for step in await upgrade.history(target, auto)] == [True] * len(NAMES)
