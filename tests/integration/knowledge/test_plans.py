"""With many owners, every statement reads an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.kernel.sql.queries import Query
from digitwin.knowledge.queries import QUERIES, for_owner

PEOPLE, EACH = 150, 100


@pytest.fixture
async def somebody(digitwin_db: Database) -> UUID:
    """One of many owners with 100 documents each, with a natural distribution of words."""
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


async def scans(db: Database, query: Query, **values: Any) -> list[dict[str, Any]]:
    """The plan's nodes that read the table of documents."""
    [row] = await db._core.db.fetch(f"EXPLAIN (FORMAT JSON) {query.sql}", *query.bind(values))
    plan = json.loads(row[0])[0]["Plan"]
    return [n for n in nodes(plan) if n["Node Type"].endswith("Scan") and _reads(n)]


def _reads(node: dict[str, Any]) -> bool:
    return "knowledge_documents" in (node.get("Relation Name"), node.get("Index Name", "")[:19])


def indexes(found: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in found if "Index Name" in node}


SEARCH: dict[str, Any] = {
    "words": "word3 word70",
    "required": ["word3"],
    "required_group": [0],
    "excluded": ["word9"],
    "visibilities": ["owner"],
    "limit": 10,
    "headline_from": 1000,
    "headline_options": "",
}
CLAIM: dict[str, Any] = {"worker": "w", "lease_seconds": 60.0}


async def test_a_search_reads_its_owners_documents_alone(
    digitwin_db: Database, somebody: UUID
) -> None:
    found = await scans(digitwin_db, QUERIES["search"], user_id=somebody, **SEARCH)
    assert found
    assert "Seq Scan" not in {node["Node Type"] for node in found}


async def test_a_claim_reads_what_waits_and_not_the_rest(
    digitwin_db: Database, somebody: UUID
) -> None:
    found = await scans(digitwin_db, for_owner("claim", None), **CLAIM)
    assert "Seq Scan" not in {node["Node Type"] for node in found}
    assert "Sort" not in {node["Node Type"] for node in found}
    assert "ix_knowledge_documents__claim" in indexes(found)


@pytest.mark.parametrize("name", ["claim", "statistics"])
async def test_under_a_scope_only_that_persons_rows_are_read(
    digitwin_db: Database, somebody: UUID, name: str
) -> None:
    found = await scans(digitwin_db, for_owner(name, somebody), user_id=somebody, **CLAIM)
    assert found
    assert "Seq Scan" not in {node["Node Type"] for node in found}


async def test_a_document_is_finished_by_its_index(digitwin_db: Database, somebody: UUID) -> None:
    query = for_owner("finish", None, verb="complete")
    values = {"id": somebody, "worker": "w", "status": "ready", "error": None}
    found = await scans(digitwin_db, query, **values)
    assert {node["Node Type"] for node in found} == {"Index Scan"}
