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
    """A database with rows in every table of the version before the newest."""
    await fill(connection, NEWEST - 1)
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


TO_TURNS = NEWEST - 4
"""Steps back to before turns lived."""


@pytest.fixture
async def before_turns(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A database with rows in every table of the version before turns lived."""
    await fill(connection, 4)
    return connection


LIVED = """
UPDATE conversation_turns SET {}
WHERE position = 1 AND user_id = '00000000-0000-7000-8000-00000000000a'
"""
OF_A_TURN = "SELECT user_id, session_id, id FROM conversation_turns LIMIT 1"


@pytest.mark.parametrize(
    ("use", "lost"),
    [
        (LIVED.format("started_at = '2020-01-01'"), "conversation_turns.started_at"),
        (LIVED.format("ended_at = 'infinity'"), "conversation_turns.ended_at"),
        (LIVED.format("participant_id = user_id"), "conversation_turns.participant_id"),
        (LIVED.format("language = 'en'"), "conversation_turns.language"),
        (LIVED.format("end_of_turn_ms = 1"), "conversation_turns.end_of_turn_ms"),
        (LIVED.format("tool_ms = 1"), "conversation_turns.tool_ms"),
        (LIVED.format("tts_first_audio_ms = 1"), "conversation_turns.tts_first_audio_ms"),
        (LIVED.format("extra = '{}'"), "conversation_turns.extra"),
        (LIVED.format("user_text = NULL"), "turns without a text"),
        (
            "INSERT INTO usage_records (user_id, session_id, turn_id, id, kind)"
            f" SELECT *, gen_random_uuid(), 'llm' FROM ({OF_A_TURN}) AS turn",
            "rows of usage_records",
        ),
        (
            "INSERT INTO turn_sources (user_id, session_id, turn_id, id)"
            f" SELECT *, gen_random_uuid() FROM ({OF_A_TURN}) AS turn",
            "rows of turn_sources",
        ),
        (
            "INSERT INTO session_artifacts (user_id, session_id, id, kind)"
            f" SELECT *, 'file' FROM ({OF_A_TURN}) AS turn",
            "rows of session_artifacts",
        ),
        (
            "INSERT INTO artifact_deletions (id, kind, address)"
            " VALUES (gen_random_uuid(), 'file', 'dt1:AAAA')",
            "queued deletions of recordings and files",
        ),
    ],
)
async def test_what_lives_in_a_turn_is_kept(
    use: str, lost: str, before_turns: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    await upgrade.upgrade(target, auto)
    await before_turns.execute(use)
    with pytest.raises(InvalidStateError) as refused:
        await upgrade.downgrade(target, auto, steps=TO_TURNS)
    assert refused.value.details["lost"] == [lost]


async def test_items_are_kept_with_their_counter(
    before_turns: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    await upgrade.upgrade(target, auto)
    await before_turns.execute(
        "INSERT INTO turn_items (user_id, session_id, turn_id, number, id, kind)"
        f" SELECT *, 1, gen_random_uuid(), 'message' FROM ({OF_A_TURN}) AS turn"
    )
    with pytest.raises(InvalidStateError) as refused:
        await upgrade.downgrade(target, auto, steps=TO_TURNS)
    assert set(refused.value.details["lost"]) == {
        "rows of turn_items",
        "conversation_sessions.item_count",
    }


async def test_what_lasts_no_longer_than_a_process_is_reverted(
    before_turns: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    """A recorder that goes on makes a new row, and the release before leases without a token."""
    await upgrade.upgrade(target, auto)
    await before_turns.execute(
        "INSERT INTO session_writers (user_id, session_id, writer, sequence)"
        f" SELECT *, 1 FROM ({OF_A_TURN}) AS turn"
    )
    await before_turns.execute("UPDATE knowledge_documents SET lease_token = id")
    assert await upgrade.downgrade(target, auto, steps=TO_TURNS) == [*reversed(NAMES[4:])]


async def test_nothing_is_reverted_if_an_earlier_migration_would_lose_something(
    filled: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    """The first one's way back drops every table."""
    await upgrade.upgrade(target, auto)
    with pytest.raises(InvalidStateError, match=f"Reverting {NAMES[0]} would lose rows of"):
        await upgrade.downgrade(target, auto, steps=len(NAMES))
    assert [step.applied for step in await upgrade.history(target, auto)] == [True] * len(NAMES)
