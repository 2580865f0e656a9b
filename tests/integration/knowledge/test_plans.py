"""The planner takes an index where there are many people: asked, not hoped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.knowledge.statements import statement

PEOPLE, EACH = 150, 100


@pytest.fixture
async def somebody(digitwin_db: Database) -> UUID:
    """One of many people with a hundred documents each, of words as frequent as words are."""
    db = digitwin_db._core.db
    await db.execute(
        "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'N'"
        " FROM generate_series(1, $1::int) AS n",
        PEOPLE,
    )
    await db.execute(
        "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash, status)"
        " SELECT users.id, gen_random_uuid(), 'T' || n, ("
        "   SELECT string_agg('word' || floor(2000 * random() ^ 3)::int, ' ')"
        "   FROM generate_series(1, 40 + 0 * n)), 'h', CASE n % 50 WHEN 0 THEN 'pending'"
        "   ELSE 'ready' END"
        " FROM users, generate_series(1, $1::int) AS n",
        EACH,
    )
    await db.execute("ANALYZE knowledge_documents")
    owner: UUID = await db.fetchval("SELECT min(id::text)::uuid FROM users")
    return owner


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def on_documents(db: Database, sql: str, *args: Any) -> list[dict[str, Any]]:
    """The nodes of a statement's plan that read the table of documents."""
    [row] = await db._core.db.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *args)
    plan = json.loads(row[0])[0]["Plan"]
    return [n for n in nodes(plan) if n["Node Type"].endswith("Scan") and _reads(n)]


def _reads(node: dict[str, Any]) -> bool:
    return "knowledge_documents" in (node.get("Relation Name"), node.get("Index Name", "")[:19])


def indexes(found: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in found if "Index Name" in node}


SEARCH: tuple[Any, ...] = ("word3 word70", ["word3"], [0], ["word9"], ["owner"], 10, 1000, "")


async def test_a_search_reads_its_owners_documents_alone(
    digitwin_db: Database, somebody: UUID
) -> None:
    found = await on_documents(digitwin_db, *statement("search", somebody, *SEARCH))
    assert found
    assert "Seq Scan" not in {node["Node Type"] for node in found}


async def test_a_claim_reads_what_waits_and_not_the_rest(
    digitwin_db: Database, somebody: UUID
) -> None:
    found = await on_documents(digitwin_db, *statement("claim", "w", 60.0, verb="claim"))
    assert "Seq Scan" not in {node["Node Type"] for node in found}
    assert "Sort" not in {node["Node Type"] for node in found}
    assert "ix_knowledge_documents__claim" in indexes(found)


@pytest.mark.parametrize(
    ("name", "args"),
    [("claim", ("w", 60.0)), ("statistics", ())],
)
async def test_under_a_scope_only_that_persons_rows_are_read(
    digitwin_db: Database, somebody: UUID, name: str, args: tuple[Any, ...]
) -> None:
    verb = "claim" if name == "claim" else None
    found = await on_documents(digitwin_db, *statement(name, *args, owner=somebody, verb=verb))
    assert found
    assert "Seq Scan" not in {node["Node Type"] for node in found}


async def test_a_document_is_finished_by_its_index(digitwin_db: Database, somebody: UUID) -> None:
    args = (somebody, "w", "ready", None)
    found = await on_documents(digitwin_db, *statement("finish", *args, verb="complete"))
    assert {node["Node Type"] for node in found} == {"Index Scan"}
