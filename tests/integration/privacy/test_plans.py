"""Whoever is looked for is found by an index, however many others there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from digitwin.kernel.sql.queries import Query
from digitwin.kernel.sql.tables import Table
from digitwin.privacy.batches import erase_batch, redact_batch
from digitwin.privacy.data_map import files_about_participant
from digitwin.privacy.export import ExportFile
from digitwin.privacy.subjects import by_id, by_ref
from digitwin.testing.databases import Databases
from tests.support.plans import explain, filled
from tests.support.tables import PERSONAL, name_of

SMALL = {"consents", "deletions"}
ROWS = [table for table in PERSONAL if table.data.erasure == "rows" and table.name not in SMALL]


FILL = (
    "INSERT INTO users (id, email, name)"
    " SELECT gen_random_uuid(), n || '@example.com', 'N' FROM generate_series(1, 12000) AS n;"
    "INSERT INTO user_emails SELECT email, id FROM users;"
    "INSERT INTO participants (user_id, id, kind, ref)"
    " SELECT id, id, 'guest', id::text FROM users;"
    "INSERT INTO conversation_sessions (user_id, id, participant_id)"
    " SELECT id, id, id FROM users;"
    "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)"
    " SELECT id, id, n, gen_random_uuid(), 'x' FROM users, generate_series(1, 5) AS n;"
    "INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind)"
    " SELECT user_id, session_id, position, gen_random_uuid(), id, 'custom'"
    " FROM conversation_turns;"
    "INSERT INTO usage_records (user_id, session_id, id, turn_id, kind)"
    " SELECT user_id, session_id, gen_random_uuid(), id, 'llm' FROM conversation_turns;"
    "INSERT INTO turn_sources (user_id, session_id, turn_id, id)"
    " SELECT user_id, session_id, id, gen_random_uuid() FROM conversation_turns;"
    "INSERT INTO session_artifacts (user_id, session_id, id, kind)"
    " SELECT id, id, gen_random_uuid(), 'file' FROM users, generate_series(1, 5);"
    "INSERT INTO session_writers (user_id, session_id, writer, sequence)"
    " SELECT id, id, gen_random_uuid(), 1 FROM users;"
    "INSERT INTO conversation_words (user_id, session_id, first_position, last_position, language,"
    " first_at, last_at, words, pairs) SELECT id, id, n, n, 'english', now(), now(), 'x:1',"
    " B''::bit(8192)"
    " FROM users, generate_series(1, 5) AS n;"
    "INSERT INTO voice_models (user_id, id, name) SELECT id, id, 'N' FROM users;"
    "INSERT INTO face_models (user_id, id, name) SELECT id, id, 'N' FROM users;"
    "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash)"
    " SELECT id, id, 'T', 'C', 'h' FROM users;"
    "INSERT INTO memories (user_id, audience, namespace, key, value)"
    " SELECT id, 'owner', 'n', 'k', '{}' FROM users;"
    "INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)"
    " SELECT id::text, '/talk', 1000, 1, 1 FROM users;"
    "INSERT INTO rate_limit_usage (endpoint, subject, bucket)"
    " SELECT '/talk', id::text, now() FROM users;"
    "INSERT INTO user_keys (user_id, key_id, wrapped) SELECT id, 'k', 'x' FROM users;"
)


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL, "ANALYZE") as url:
        yield url


@pytest.fixture
async def raw(raw: asyncpg.Connection) -> asyncpg.Connection:
    """The same connection, with the right to remove rows."""
    await raw.execute("SET digitwin.allow_hard_delete = 'on'")
    return raw


async def read_whole(raw: asyncpg.Connection, query: Query, values: dict[str, Any]) -> set[str]:
    """Tables that are read as a whole."""
    nodes = await explain(raw, query, **values)
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


@pytest.mark.parametrize("table", ROWS, ids=name_of)
async def test_an_erasure_reads_no_table_as_a_whole(raw: asyncpg.Connection, table: Table) -> None:
    query = erase_batch(table, table.data.found_by)
    values = {"person": uuid4(), "batch": 5000}
    assert await read_whole(raw, query, values) == set()


WHO = {"ref": by_ref(str(uuid4()), kind="guest"), "id": by_id(uuid4())}


@pytest.mark.parametrize(
    "file",
    [file for way, them in WHO.items() for file in files_about_participant(way, them)],
    ids=lambda file: file.name,
)
async def test_nor_does_a_look_for_a_participant(raw: asyncpg.Connection, file: ExportFile) -> None:
    assert await read_whole(raw, file.query, file.subject) == set()


@pytest.mark.parametrize("way", WHO)
@pytest.mark.parametrize("table", [t for t in ROWS if t.data.redacted], ids=name_of)
async def test_nor_does_their_erasure(raw: asyncpg.Connection, table: Table, way: str) -> None:
    them = WHO[way]
    for redacted in table.data.redacted:
        found_by = them.within(redacted.found_by)
        query = erase_batch(table, found_by)
        if redacted.sets:
            query = redact_batch(table, found_by, redacted.sets)
        values = {**them.values, "batch": 5000, "keep_answers": False}
        assert await read_whole(raw, query, values) == set()
