"""A filled database of the release before takes the next migration, and is served all the while."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings

FIRST, *LATER = files.all_migrations()

ADA, BOB = uuid4(), uuid4()
VOICE, SESSION, GONE = uuid4(), uuid4(), uuid4()


@pytest.fixture
async def filled(connection: asyncpg.Connection) -> asyncpg.Connection:
    """As the first release left it: people with all that is theirs, some of it deleted."""
    await connection.execute(await FIRST.upgrade())
    await connection.execute(
        "INSERT INTO aerich (version, app, content) VALUES ($1, 'digitwin', '{}')", FIRST.name
    )
    for user, address in ((ADA, "ada@example.com"), (BOB, "bob@example.com")):
        await connection.execute(
            "INSERT INTO users (id, email, name) VALUES ($1, $2, 'Somebody')", user, address
        )
        await connection.execute("INSERT INTO user_emails VALUES ($1, $2)", address, user)
    await connection.execute(
        "INSERT INTO voice_models (user_id, id, name, status, is_active, artifact_uri, checksum)"
        " VALUES ($1, $2, 'Warm', 'ready', true, 's3://voices/ada', 'sha256:1')",
        ADA,
        VOICE,
    )
    await connection.execute(
        "INSERT INTO conversation_sessions (user_id, id, voice_model_id, turn_count)"
        " VALUES ($1, $2, $3, 1)",
        ADA,
        SESSION,
        VOICE,
    )
    await connection.execute(
        "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)"
        " VALUES ($1, $2, 1, $3, 'Hello')",
        ADA,
        SESSION,
        uuid4(),
    )
    await connection.execute(
        "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash,"
        " deleted_at, deletion_id) VALUES ($1, $2, 'Hours', 'From nine', 'x', now(), $3)",
        BOB,
        GONE,
        uuid4(),
    )
    await connection.execute(
        "INSERT INTO audit_logs (user_id, id, action, resource) VALUES ($1, $2, 'x', 'y')",
        ADA,
        uuid4(),
    )
    return connection


async def test_everything_is_still_there(
    filled: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    counted = (
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM voice_models),"
        " (SELECT count(*) FROM conversation_turns), (SELECT count(*) FROM knowledge_documents),"
        " (SELECT count(*) FROM audit_logs)"
    )
    before = await filled.fetchrow(counted)
    assert await upgrade.upgrade(target, auto) == [migration.name for migration in LATER]
    assert await filled.fetchrow(counted) == before
    row = await filled.fetchrow("SELECT artifact_uri, is_active FROM voice_models")
    assert row is not None
    assert tuple(row) == ("s3://voices/ada", True)


async def test_the_release_before_works_on(
    filled: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    """What it sent, word for word, before the schema grew."""
    await upgrade.upgrade(target, auto)
    user, voice = uuid4(), uuid4()
    await filled.execute(
        "WITH taken AS (INSERT INTO user_emails (address, user_id) VALUES ($1, $2::uuid))"
        " INSERT INTO users (id, email, name, personality_traits, settings, subscription_tier)"
        " VALUES ($2::uuid, $1, 'Cleo', '[]', '{}', 'free')",
        "cleo@example.com",
        user,
    )
    await filled.execute(
        "INSERT INTO voice_models (id, user_id, name, artifact_uri)"
        " SELECT $1, id, 'Clear', 's3://voices/cleo' FROM users"
        " WHERE id = $2 AND deleted_at IS NULL FOR SHARE",
        voice,
        user,
    )
    await filled.execute(
        "UPDATE voice_models SET deleted_at = now(), deletion_id = $1, version = version + 1,"
        " updated_at = now() WHERE user_id = $2 AND id = $3 AND deleted_at IS NULL",
        uuid4(),
        user,
        voice,
    )
    await filled.execute(
        "INSERT INTO audit_logs (user_id, id, action, resource, metadata)"
        " VALUES ($1, $2, 'x', 'y', '{}'::jsonb)",
        user,
        uuid4(),
    )
    assert await filled.fetchval("SELECT oldest_reader FROM digitwin_schema") == 1


async def test_what_was_deleted_before_is_an_event(
    filled: asyncpg.Connection, target: Target, auto: Settings
) -> None:
    """A person's own deletion, and one of a single document before it."""
    deletion, document = uuid4(), await filled.fetchrow("SELECT * FROM knowledge_documents")
    for table, whose in (("users", "id"), ("voice_models", "user_id")):
        await filled.execute(
            f"UPDATE {table} SET deleted_at = now(), deletion_id = $1 WHERE {whose} = $2",
            *(deletion, ADA),
        )
    await upgrade.upgrade(target, auto)
    events = await filled.fetch("SELECT user_id, id, resource, resource_id FROM deletions")
    assert {tuple(event) for event in events} == {
        (ADA, deletion, "user", ADA),
        (BOB, document["deletion_id"], "document", GONE),
    }
