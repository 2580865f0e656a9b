"""A database as an earlier version left it, with rows in every table of that version."""

from __future__ import annotations

import asyncpg

from digitwin.kernel.migrations import files

BOOKS = ("aerich", "digitwin_schema")
"""Their rows are what a migration is there to change."""

Columns = dict[str, list[str]]

ROWS = {
    1: """
INSERT INTO users (id, email, name) VALUES
    ('00000000-0000-7000-8000-00000000000a', 'ada@example.com', 'Ada'),
    ('00000000-0000-7000-8000-00000000000b', 'bob@example.com', 'Bob');
INSERT INTO user_emails (address, user_id) SELECT email, id FROM users;
INSERT INTO user_keys (user_id, key_id, wrapped) SELECT id, 'local:1', 'wrapped' FROM users;
INSERT INTO voice_models (user_id, id, name, status, is_active, artifact_uri, checksum)
SELECT id, id, 'Warm', 'ready', true, 'dt1:AAAA', 'dt1:AAAA' FROM users;
INSERT INTO face_models (user_id, id, name) SELECT id, id, 'Kind' FROM users;
INSERT INTO consents (user_id, id, purpose, evidence) SELECT id, id, 'voice', '{}' FROM users;
INSERT INTO participants (user_id, id, kind, ref) SELECT id, id, 'guest', 'web-1' FROM users;
INSERT INTO conversation_sessions (user_id, id, participant_id, voice_model_id, turn_count)
SELECT id, id, id, id, 1 FROM users;
INSERT INTO conversation_turns (user_id, session_id, position, id, user_text, llm_ms)
SELECT id, id, 1, id, 'Hello', 80 FROM users;
INSERT INTO knowledge_documents (user_id, id, title, content, content_hash)
SELECT id, id, 'Hours', 'From nine', 'x' FROM users;
UPDATE knowledge_documents SET deleted_at = now(), deletion_id = id
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
INSERT INTO deletions (user_id, id, resource, resource_id, deleted_at)
SELECT user_id, id, 'document', id, deleted_at FROM knowledge_documents
WHERE deleted_at IS NOT NULL;
INSERT INTO embedding_cache (user_id, key, value, size_bytes, expires_at)
SELECT id, 'k', '\\x00', 1, now() FROM users;
INSERT INTO vector_search_cache (user_id, key, value, size_bytes, expires_at)
SELECT id, 'k', '[1e300]', 7, now() FROM users;
INSERT INTO llm_response_cache (user_id, key, value, size_bytes, expires_at)
SELECT id, 'k', '"Nine."', 7, now() FROM users;
INSERT INTO cache_invalidations (store, kind, name, epoch) VALUES ('responses', 'all', '', 1);
INSERT INTO cache_usage (store, bucket, hits) VALUES ('responses', now(), 1);
INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)
VALUES ('web-1', '/chat', 60000, 60, 59);
INSERT INTO rate_limit_usage (endpoint, subject, bucket, allowed)
VALUES ('/chat', 'web-1', now(), 1);
INSERT INTO audit_logs (user_id, id, action, resource)
SELECT id, id, 'user.create', 'user' FROM users;
INSERT INTO audit_seals (number, created_at, running, records, root, previous, head, algorithm)
SELECT 1, now(), '', 2, sha256('1'), sha256('2'), sha256('3'), 'none';
INSERT INTO audit_leaves
    (seal, place, record_id, created_at, content, leaf, commitments, salts)
SELECT 1, row_number() OVER (), id, created_at, sha256('1'), sha256('2'),
       decode(repeat('01', 192), 'hex'), decode(repeat('02', 96), 'hex') FROM audit_logs;
INSERT INTO audit_checkpoints
    (number, created_at, removed_before, seal, seal_head, records, head, algorithm)
SELECT 1, now(), now(), 0, sha256('1'), 0, sha256('2'), 'none';
INSERT INTO erasures (id, subject, subject_hash, reason, completed_at)
SELECT gen_random_uuid(), 'user', encode(sha256('cleo'), 'hex'), 'asked', now();
INSERT INTO artifact_deletions (id, erasure_id, kind, address)
SELECT gen_random_uuid(), id, 'voice', 'dt1:AAAA' FROM erasures;
""",
    5: """
UPDATE conversation_turns SET status = 'open', ended_at = NULL, participant_id = user_id,
    language = 'en', end_of_turn_ms = 1, tool_ms = 1, tts_first_audio_ms = 1, extra = '{"a": 1}'
WHERE user_id = '00000000-0000-7000-8000-00000000000b';
UPDATE conversation_sessions SET item_count = 1;
INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, item_id, payload)
SELECT user_id, session_id, 1, id, id, 'tool_call', 'call-1', '{"a": 1}' FROM conversation_turns;
INSERT INTO usage_records (user_id, session_id, id, turn_id, kind, request_id, output_tokens)
SELECT user_id, session_id, id, id, 'llm', 'r-1', 7 FROM conversation_turns;
INSERT INTO turn_sources (user_id, session_id, turn_id, id, document_id, quote)
SELECT user_id, session_id, id, id, user_id, 'From nine' FROM conversation_turns;
INSERT INTO session_artifacts (user_id, id, session_id, kind, artifact_uri)
SELECT user_id, id, id, 'recording', 'dt1:AAAA' FROM conversation_sessions;
INSERT INTO session_writers (user_id, session_id, writer, sequence)
SELECT user_id, id, id, 1 FROM conversation_sessions;
INSERT INTO conversation_words (
    user_id, session_id, first_position, last_position, language, first_at, last_at, words,
    pairs)
SELECT user_id, id, 1, 1, 'english', now(), now(), 'hello:1', B''::bit(8192)
FROM conversation_sessions;
UPDATE conversation_sessions SET indexed_to = 1, is_indexed = true;
UPDATE knowledge_documents SET lease_token = id;
""",
    6: """
INSERT INTO memories (user_id, audience, namespace, key, value, words, ttl_seconds, expires_at)
SELECT id, 'owner', 'preferences.food', 'pizza', '{"likes": true}', 'pizza', 60, now() FROM users;
""",
}
"""What is written once so many migrations are applied. A migration that adds a table adds rows."""

_COLUMNS = """
SELECT relname::text AS table_name, array_agg(attname::text ORDER BY attnum) AS columns
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND attnum > 0 AND NOT attisdropped AND relname <> ALL($1::text[])
GROUP BY relname ORDER BY relname
"""


async def fill(connection: asyncpg.Connection, version: int) -> None:
    """Apply the first migrations to an empty database, and write the rows of each version."""
    for number, migration in enumerate(files.all_migrations()[:version], 1):
        await connection.execute(await migration.upgrade())
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ($1, 'digitwin', '{}')",
            migration.name,
        )
        if number in ROWS:
            await connection.execute(ROWS[number])


async def columns_of(connection: asyncpg.Connection) -> Columns:
    """The columns of every table, the books left out."""
    rows = await connection.fetch(_COLUMNS, BOOKS)
    return {row["table_name"]: row["columns"] for row in rows}


async def rows_of(connection: asyncpg.Connection, columns: Columns) -> dict[str, list[str]]:
    """Every row of these tables as JSON, with these columns alone."""
    found = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        rows = await connection.fetch(
            f"SELECT to_jsonb(held)::text AS row FROM (SELECT {listed} FROM {table}) AS held"
            " ORDER BY 1"
        )
        found[table] = [row["row"] for row in rows]
    return found
