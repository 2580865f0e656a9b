"""At 200,000 turns of many people, a search reads the person's rows of the index by their key, and
turns one by one, in custom plans and in the generic plan of a statement that is used often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.search.queries import QUERIES, searching
from digitwin.conversations.search.searching import _columns
from digitwin.database import Database
from digitwin.kernel.search.query import parse
from digitwin.kernel.search.question import ask, conditions
from digitwin.kernel.sql.queries import Query
from digitwin.testing.databases import Databases
from tests.support.plans import Node, explain, explain_generic, filled, scans_of

PEOPLE, SESSIONS, TURNS = 200, 10_000, 20
FILL = f"""
INSERT INTO users (id, email, name)
SELECT gen_random_uuid(), n || '@example.com', 'N' FROM generate_series(1, {PEOPLE}) AS n;

INSERT INTO participants (user_id, id, kind, ref)
SELECT id, gen_random_uuid(), 'guest', 'web-' || n FROM users, generate_series(1, 10) AS n;

WITH owner AS (SELECT id, row_number() OVER () - 1 AS n FROM users),
guest AS (SELECT user_id, id, row_number() OVER (PARTITION BY user_id) - 1 AS n FROM participants)
INSERT INTO conversation_sessions (
    user_id, id, participant_id, turn_count, status, ended_at, indexed_to, is_indexed)
SELECT owner.id, gen_random_uuid(), guest.id, {TURNS}, 'ended', now(), {TURNS}, s % 100 <> 0
FROM generate_series(1, {SESSIONS}) AS s
JOIN owner ON owner.n = s % {PEOPLE}
JOIN guest ON guest.user_id = owner.id AND guest.n = s % 10;

INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)
SELECT user_id, id, position, gen_random_uuid(), 'apples and pears'
FROM conversation_sessions, generate_series(1, {TURNS}) AS position;

INSERT INTO conversation_words (
    user_id, session_id, first_position, last_position, language, first_at, last_at, words,
    pairs)
SELECT user_id, id, 1, {TURNS}, 'english', now(), now(), 'appl:1,2 pear:1', B''::bit(8192)
FROM conversation_sessions;

ANALYZE users, participants, conversation_sessions, conversation_turns, conversation_words;
"""
LEXEMES = {"apples": [("appl", 1)], "pears": [("pear", 1)]}


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, FILL) as url:
        yield url


@pytest.fixture
async def values(raw: asyncpg.Connection) -> dict[str, Any]:
    someone = await raw.fetchrow("SELECT user_id, id, participant_id FROM conversation_sessions")
    assert someone is not None
    question = ask(parse("apples pears"))
    period = {"since": None, "until": None, "rows": 100, "pool": 60, "limit": 10}
    return {
        "user_id": someone["user_id"],
        "session_id": someone["id"],
        "participant_id": someone["participant_id"],
        **_columns({"english": conditions(question, [LEXEMES])}, 2),
        **period,
    }


def assert_by_index(plan: list[Node]) -> None:
    for table in ("conversation_words", "conversation_turns", "conversation_sessions"):
        for node in scans_of(plan, table):
            assert node["Node Type"] != "Seq Scan", node
            assert "user_id" in str(node.get("Index Cond", node.get("Recheck Cond"))) or (
                "id =" in str(node.get("Index Cond"))
            ), node


@pytest.mark.parametrize("by_participant", [False, True])
@pytest.mark.parametrize("by_session", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
async def test_a_search_reads_the_persons_rows_alone(
    raw: asyncpg.Connection,
    digitwin_db: Database,
    values: dict[str, Any],
    by_participant: bool,
    by_session: bool,
    in_order: bool,
) -> None:
    query = searching(
        2,
        by_participant=by_participant,
        by_session=by_session,
        in_order=in_order,
        newest=in_order,
    )
    await as_the_application(raw, values)
    for plan in (await explain(raw, query, **values), await explain_generic(raw, query)):
        assert_by_index(plan)
        # It kept all vectors of the person, in a temporary file
        assert "Materialize" not in [node["Node Type"] for node in plan]


async def test_the_languages_are_read_by_an_index(
    raw: asyncpg.Connection, digitwin_db: Database, values: dict[str, Any]
) -> None:
    await as_the_application(raw, values)
    query: Query = QUERIES["languages"]
    plan = await explain(raw, query, **values)
    assert_by_index(plan)
    assert {node.get("Index Name") for node in scans_of(plan, "conversation_words")} >= {
        "ix_conversation_words__language"
    }
    assert_by_index(await explain_generic(raw, query))


async def as_the_application(raw: asyncpg.Connection, values: dict[str, Any]) -> None:
    await raw.execute("SET ROLE digitwin_app")
    await raw.execute(f"SET digitwin.user_id = '{values['user_id']}'")
