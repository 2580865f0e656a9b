"""Every filter of every repository has an index, and so has every foreign key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.kernel.sql import crud
from digitwin.kernel.sql.queries import Query
from digitwin.models import ConversationSession, FaceModel, KnowledgeDocument, User, VoiceModel
from digitwin.testing.databases import Databases
from digitwin.users.queries import QUERIES
from tests.support.plans import described, explain_generic, filled

PEOPLE = 4_000
ROWS = 20_000

FILL = (
    f"""INSERT INTO users (id, email, name, subscription_tier)
        SELECT gen_random_uuid(), n || '@example.com', 'Name ' || n % 500,
               (ARRAY['free', 'pro', 'enterprise'])[n % 3 + 1]
        FROM generate_series(1, {PEOPLE}) AS n""",
    "INSERT INTO user_emails (address, user_id) SELECT email, id FROM users",
    *(
        f"""INSERT INTO {table} (user_id, id, name, provider, status)
            SELECT id, gen_random_uuid(), 'Model ' || n % 300, 'provider ' || n % 200,
                   (ARRAY['pending', 'training', 'ready', 'failed'])[n % 4 + 1]
            FROM users, generate_series(1, {ROWS // PEOPLE}) AS n"""
        for table in ("voice_models", "face_models")
    ),
    f"""INSERT INTO knowledge_documents (user_id, id, title, content, content_type, source_uri,
                                         content_hash, visibility, status)
        SELECT id, gen_random_uuid(), 'Title ' || n, 'Content', 'type/' || n % 20, 'uri:' || n,
               'hash ' || n, (ARRAY['owner', 'visitors'])[n % 2 + 1],
               (ARRAY['pending', 'ready', 'failed'])[n % 3 + 1]
        FROM users, generate_series(1, {ROWS // PEOPLE}) AS n""",
    f"""INSERT INTO conversation_sessions (user_id, id, external_id)
        SELECT id, gen_random_uuid(), 'session ' || n
        FROM users, generate_series(1, {ROWS // PEOPLE}) AS n""",
)


MODELS: dict[str, Any] = {
    "users": User,
    "voices": VoiceModel,
    "faces": FaceModel,
    "sessions": ConversationSession,
    "documents": KnowledgeDocument,
}
"""By the names of their repositories."""


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, *FILL, "ANALYZE") as url:
        yield url


async def plan_of(raw: asyncpg.Connection, query: Query) -> list[str]:
    return described(await explain_generic(raw, query))


def _filters() -> list[tuple[str, str]]:
    of = {
        "users": ("name", "subscription_tier"),
        "voices": ("user_id", "name", "provider", "status", "is_active"),
        "faces": ("user_id", "name", "provider", "status", "is_active"),
        "sessions": (
            *("user_id", "external_id", "participant_id", "voice_model_id", "face_model_id"),
            *("participant", "status"),
        ),
        "documents": (
            *("user_id", "title", "content_type", "source_uri", "content_hash", "visibility"),
            "status",
        ),
    }
    return [(name, field) for name, fields in of.items() for field in fields]


@pytest.mark.parametrize(("name", "field"), _filters())
async def test_a_page_by_a_filter_reads_an_index(
    raw: asyncpg.Connection, name: str, field: str
) -> None:
    model = MODELS[name]
    query = crud.select(model, (field,), tail=" ORDER BY id LIMIT 51")
    plan = await plan_of(raw, query)
    assert f"Seq Scan on {model._meta.db_table}" not in plan, plan


@pytest.mark.parametrize("name", ["users", "voices", "faces", "sessions", "documents"])
@pytest.mark.parametrize("beyond", [None, ">", "<"])
async def test_a_page_of_everything_reads_no_more_than_itself(
    raw: asyncpg.Connection, name: str, beyond: str | None
) -> None:
    model, direction = MODELS[name], " DESC" if beyond == "<" else ""
    query = crud.select(model, (), beyond=beyond, tail=f" ORDER BY id{direction} LIMIT 51")
    plan = await plan_of(raw, query)
    assert "Sort on -" not in plan, plan
    assert f"Seq Scan on {model._meta.db_table}" not in plan, plan


@pytest.mark.parametrize("name", ["users", "voices", "faces", "sessions", "documents"])
async def test_one_row_by_its_id_alone_reads_an_index(raw: asyncpg.Connection, name: str) -> None:
    model = MODELS[name]
    plan = await plan_of(raw, crud.select(model, ("id",)))
    assert f"Index Scan on {model._meta.db_table}" in plan, plan


async def test_a_user_by_e_mail_is_two_look_ups(raw: asyncpg.Connection) -> None:
    plan = await plan_of(raw, QUERIES["by_email"])
    assert sorted(node for node in plan if "Scan" in node) == [
        "Index Scan on user_emails",
        "Index Scan on users",
    ]


async def test_every_foreign_key_has_an_index(raw: asyncpg.Connection) -> None:
    """Deleting a parent looks for its children by the key's columns, in whatever order."""
    rows = await raw.fetch(
        """SELECT conname FROM pg_constraint AS key
           WHERE contype = 'f' AND conparentid = 0 AND NOT EXISTS (
               SELECT FROM pg_index WHERE indrelid = conrelid
               AND (indkey::smallint[])[0:cardinality(conkey) - 1] @> conkey)"""
    )
    left = {row["conname"] for row in rows}
    # A child that names its speaker or its model is found by that column alone
    assert left == {
        "fk_conversation_turns__participant_id",
        "fk_conversation_sessions__voice_model_id",
        "fk_conversation_sessions__face_model_id",
    }
    for name in left:
        index = name.replace("fk_", "ix_", 1)
        assert await raw.fetchval("SELECT true FROM pg_indexes WHERE indexname = $1", index)
