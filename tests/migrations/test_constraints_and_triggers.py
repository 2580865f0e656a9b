"""What the database itself refuses, whoever asks."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.migrations.test_catalog import LED_BY_OWNER
from tests.support.tables import TABLES

_OF_A_PERSON = """
SELECT DISTINCT attrelid::regclass::text AS name FROM pg_attribute JOIN pg_class ON oid = attrelid
WHERE attname = 'user_id' AND relnamespace = current_schema()::regnamespace
  AND relkind IN ('r', 'p') AND NOT relispartition
"""
_GUARDED = """
SELECT DISTINCT tgrelid::regclass::text AS name
FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE proname LIKE 'digitwin_guard%' AND tgenabled IN ('O', 'A')
  AND tgtype & 1 = 1 AND tgtype & 2 = 2 AND tgtype & 8 = 8 -- for each row, before, DELETE
"""
ALLOW = "SET LOCAL digitwin.allow_hard_delete = 'on'"


@pytest.fixture
def db(migrated: asyncpg.Connection) -> asyncpg.Connection:
    return migrated


@pytest.fixture
async def ada(db: asyncpg.Connection) -> UUID:
    """A user with one row of everything."""
    ada, voice, session = uuid4(), uuid4(), uuid4()
    await db.execute("INSERT INTO users (id, email, name) VALUES ($1, 'ada@example.com', 'A')", ada)
    await db.execute(
        "INSERT INTO user_emails (address, user_id) VALUES ('ada@example.com', $1)", ada
    )
    await db.execute(
        "INSERT INTO participants (user_id, id, kind) VALUES ($1, gen_random_uuid(), 'guest')", ada
    )
    for table in ("voice_models", "face_models"):
        await db.execute(
            f"INSERT INTO {table} (user_id, id, name) VALUES ($1, $2, 'm')", ada, voice
        )
    await db.execute(
        "INSERT INTO conversation_sessions (user_id, id, voice_model_id) VALUES ($1, $2, $3)",
        *(ada, session, voice),
    )
    await db.execute(
        "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)"
        " VALUES ($1, $2, 1, gen_random_uuid(), 'Hello')",
        *(ada, session),
    )
    for columns, values in {
        "turn_items (id, kind, number, started_at": "'message', 1, now()",
        "usage_records (id, kind": "'llm'",
        "turn_sources (id, turn_id": "gen_random_uuid()",
        "session_artifacts (id, kind": "'file'",
        "session_writers (writer, sequence": "1",
    }.items():
        await db.execute(
            f"INSERT INTO {columns}, user_id, session_id)"
            f" VALUES (gen_random_uuid(), {values}, $1, $2)",
            *(ada, session),
        )
    await db.execute(
        "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash)"
        " VALUES ($1, gen_random_uuid(), 't', 'c', 'h')",
        ada,
    )
    await db.execute(
        "INSERT INTO memories (user_id, audience, namespace, key, value)"
        " VALUES ($1, 'owner', 'food', 'pizza', '{}')",
        ada,
    )
    await db.execute(
        "INSERT INTO audit_logs (user_id, id, action, resource)"
        " VALUES ($1, gen_random_uuid(), 'read', 'user')",
        ada,
    )
    return ada


@pytest.mark.parametrize(
    "table",
    [
        "users",
        "voice_models",
        "face_models",
        "conversation_sessions",
        "conversation_turns",
        "turn_items",
        "usage_records",
        "turn_sources",
        "session_artifacts",
        "session_writers",
        "knowledge_documents",
        "memories",
        "participants",
        "user_emails",
        "audit_logs",
    ],
)
@pytest.mark.usefixtures("ada")
async def test_rows_are_not_deleted_by_the_way(db: asyncpg.Connection, table: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await db.execute(f"DELETE FROM {table}")
    async with db.transaction():
        await db.execute(ALLOW)
        assert await db.execute(f"DELETE FROM {table}") == "DELETE 1"
    await db.execute(f"DELETE FROM {table}")  # the permission ended with its transaction


async def test_every_table_of_a_persons_data_is_guarded(db: asyncpg.Connection) -> None:
    """A new table with `user_id` needs a guard, or is named here with the reason it has none."""
    without = {
        *(
            name for name, table in TABLES.items() if table.late_writes
        ),  # holds copies, which are thrown away at any time
        "user_keys",  # destroyed on purpose, at an erasure, by the statement that is there for it
        "rate_limit_usage",  # counts, which are thrown away in time
    }
    personal = {row["name"] for row in await db.fetch(_OF_A_PERSON)} | {"users"}
    guarded = {row["name"] for row in await db.fetch(_GUARDED)}
    assert personal >= LED_BY_OWNER | {"user_emails"}
    assert personal - without <= guarded


async def test_an_address_goes_with_its_owner(db: asyncpg.Connection, ada: UUID) -> None:
    await db.execute("UPDATE users SET deleted_at = now(), deletion_id = gen_random_uuid()")
    assert await db.execute("DELETE FROM user_emails WHERE user_id = $1", ada) == "DELETE 1"


@pytest.mark.usefixtures("ada")
async def test_a_temporary_table_does_not_stand_in_for_ours(db: asyncpg.Connection) -> None:
    """Here the owner would be gone, and the address free to go."""
    await db.execute("CREATE TEMP TABLE users (id uuid, deleted_at timestamptz)")
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await db.execute("DELETE FROM user_emails")


@pytest.mark.usefixtures("ada")
async def test_the_audit_trail_is_never_changed(db: asyncpg.Connection) -> None:
    async with db.transaction():
        await db.execute(ALLOW)
        with pytest.raises(asyncpg.RaiseError, match="refused"):
            async with db.transaction():
                await db.execute("UPDATE audit_logs SET action = 'nothing'")
    with pytest.raises(asyncpg.RaiseError, match="refused"):
        await db.execute("TRUNCATE audit_logs")


async def test_a_user_goes_with_everything(db: asyncpg.Connection, ada: UUID) -> None:
    async with db.transaction():
        await db.execute(ALLOW)
        await db.execute("DELETE FROM users WHERE id = $1", ada)
    for table in LED_BY_OWNER - {"audit_logs"}:
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_session_outlives_its_voice(db: asyncpg.Connection, ada: UUID) -> None:
    async with db.transaction():
        await db.execute(ALLOW)
        await db.execute("DELETE FROM voice_models")
    row = await db.fetchrow("SELECT user_id, voice_model_id FROM conversation_sessions")
    assert tuple(row) == (ada, None)


async def test_no_session_with_another_persons_voice(db: asyncpg.Connection, ada: UUID) -> None:
    bob = uuid4()
    await db.execute("INSERT INTO users (id, email, name) VALUES ($1, 'bob@example.com', 'B')", bob)
    voice = await db.fetchval("SELECT id FROM voice_models")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="voice_model_id"):
        await db.execute(
            "INSERT INTO conversation_sessions (user_id, id, voice_model_id)"
            " VALUES ($1, gen_random_uuid(), $2)",
            *(bob, voice),
        )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("UPDATE users SET subscription_tier = 'gold'", "subscription_tier"),
        ("UPDATE users SET settings = '[]'", "settings"),
        ("UPDATE users SET deleted_at = now()", "deleted_at"),
        ("UPDATE voice_models SET is_active = true", "is_active"),
        ("UPDATE voice_models SET artifact_uri = 's3://voices/ada'", "artifact_uri"),
        ("UPDATE face_models SET checksum = 'sha256:1'", "checksum"),
        ("UPDATE face_models SET quality_score = 1.1", "quality_score"),
        ("UPDATE face_models SET quality_score = 'NaN'", "quality_score"),
        ("UPDATE conversation_sessions SET status = 'ended'", "ended_at"),
        ("UPDATE conversation_sessions SET item_count = -1", "item_count"),
        ("UPDATE conversation_turns SET heard_text = 'You?'", "heard_text"),
        ("UPDATE conversation_turns SET llm_ms = -1", "llm_ms"),
        ("UPDATE conversation_turns SET end_of_turn_ms = -1", "end_of_turn_ms"),
        ("UPDATE conversation_turns SET tool_ms = -1", "tool_ms"),
        ("UPDATE conversation_turns SET tts_first_audio_ms = -1", "tts_first_audio_ms"),
        ("UPDATE conversation_turns SET language = ''", "language"),
        ("UPDATE conversation_turns SET extra = '[]'", "extra"),
        ("UPDATE conversation_turns SET status = 'open'", "ended_at"),
        ("UPDATE conversation_turns SET ended_at = started_at - interval '1 s'", "ended_at"),
        ("UPDATE conversation_turns SET twin_text = repeat('x', 400001)", "twin_text"),
        ("UPDATE turn_items SET number = 0", "number"),
        ("UPDATE turn_items SET kind = 'video'", "kind"),
        ("UPDATE turn_items SET payload = 'null'", "payload"),
        ("UPDATE turn_items SET ended_at = started_at - interval '1 s'", "ended_at"),
        ("UPDATE usage_records SET kind = 'tool'", "kind"),
        *(
            (f"UPDATE usage_records SET {figure} = -1", figure)
            for figure in (
                "input_tokens",
                "cached_input_tokens",
                "cache_write_tokens",
                "output_tokens",
                "reasoning_tokens",
                "audio_input_tokens",
                "audio_output_tokens",
                "characters",
                "audio_ms",
            )
        ),
        ("UPDATE usage_records SET extra = '[]'", "extra"),
        ("UPDATE turn_sources SET score = 'NaN'", "score"),
        ("UPDATE turn_sources SET quote = repeat('x', 400001)", "quote"),
        ("UPDATE session_artifacts SET kind = 'audio'", "kind"),
        ("UPDATE session_artifacts SET artifact_uri = 's3://calls/1'", "artifact_uri"),
        ("UPDATE session_artifacts SET checksum = 'sha256:1'", "checksum"),
        ("UPDATE session_artifacts SET size_bytes = -1", "size_bytes"),
        ("UPDATE session_artifacts SET duration_ms = -1", "duration_ms"),
        ("UPDATE session_artifacts SET metadata = '[]'", "metadata"),
        ("UPDATE session_artifacts SET version = 0", "version"),
        ("UPDATE session_writers SET sequence = 0", "sequence"),
        ("UPDATE knowledge_documents SET visibility = 'all'", "visibility"),
        ("UPDATE knowledge_documents SET worker = 'w'", "worker"),
    ],
)
@pytest.mark.usefixtures("ada")
async def test_values_outside_their_domain(db: asyncpg.Connection, change: str, field: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"__{field}"):
        await db.execute(change)


@pytest.mark.parametrize(
    ("insertion", "field"),
    [
        (
            "INSERT INTO audit_seals"
            " (number, created_at, running, records, root, previous, head, algorithm)"
            " VALUES (9223372036854775807, now(), '', 0,"
            " sha256(''), sha256(''), sha256(''), 'none')",
            "number",
        ),
        (
            "INSERT INTO audit_leaves"
            " (seal, place, record_id, created_at, content, leaf, commitments, salts)"
            " VALUES (1000000000000001, 1, gen_random_uuid(), now(), sha256(''), sha256(''),"
            " decode(repeat('00', 192), 'hex'), decode(repeat('00', 96), 'hex'))",
            "seal",
        ),
        (
            "INSERT INTO audit_checkpoints (number, created_at, removed_before, seal, seal_head,"
            " records, head, algorithm)"
            " VALUES (9223372036854775807, now(), now(), 1, sha256(''), 0, sha256(''), 'none')",
            "number",
        ),
    ],
)
async def test_numbers_of_seals_cannot_be_exhausted(
    db: asyncpg.Connection, insertion: str, field: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=f"__{field}"):
        await db.execute(insertion)


@pytest.mark.usefixtures("ada")
async def test_a_source_may_have_a_long_address(db: asyncpg.Connection) -> None:
    """Longer than an entry of a btree may be, even compressed."""
    await db.execute(
        "UPDATE knowledge_documents SET source_uri ="
        " (SELECT left(string_agg(md5(n::text), ''), 2048) FROM generate_series(1, 64) AS n)"
    )
    uri = await db.fetchval("SELECT source_uri FROM knowledge_documents")
    assert len(uri) == 2048
