"""With many owners, every statement reads an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.kernel.sql.queries import Query
from digitwin.knowledge.queries import QUERIES, for_owner
from digitwin.testing.databases import Databases
from tests.support.plans import Node, explain, filled, indexes, kinds, scans_of

PEOPLE, EACH = 150, 100


FILL = (
    "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'N'"
    f" FROM generate_series(1, {PEOPLE}) AS n",
    "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash, status)"
    " SELECT users.id, gen_random_uuid(), 'T' || n, ("
    "   SELECT string_agg('word' || floor(2000 * random() ^ 3)::int, ' ')"
    "   FROM generate_series(1, 40 + 0 * n)), 'h', CASE n % 50 WHEN 0 THEN 'pending'"
    "   ELSE 'ready' END"
    f" FROM users, generate_series(1, {EACH}) AS n",
)
"""With a natural distribution of words."""


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, *FILL, "ANALYZE knowledge_documents") as url:
        yield url


@pytest.fixture
async def somebody(raw: asyncpg.Connection) -> UUID:
    """One of many owners with 100 documents each."""
    owner: UUID = await raw.fetchval("SELECT min(id::text)::uuid FROM users")
    return owner


async def scans(raw: asyncpg.Connection, query: Query, **values: Any) -> list[Node]:
    return scans_of(await explain(raw, query, **values), "knowledge_documents")


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
CLAIM: dict[str, Any] = {"worker": "w", "lease_seconds": 60.0, "max_attempts": 5}


async def test_a_search_reads_its_owners_documents_alone(
    raw: asyncpg.Connection, somebody: UUID
) -> None:
    found = await scans(raw, QUERIES["search"], user_id=somebody, **SEARCH)
    assert found
    assert "Seq Scan" not in kinds(found)


async def test_a_claim_reads_what_waits_and_not_the_rest(
    raw: asyncpg.Connection, somebody: UUID
) -> None:
    found = await scans(raw, for_owner("claim", None), **CLAIM)
    assert "Seq Scan" not in kinds(found)
    assert "Sort" not in kinds(found)
    assert "ix_knowledge_documents__claim" in indexes(found)


@pytest.mark.parametrize("name", ["claim", "statistics"])
async def test_under_a_scope_only_that_persons_rows_are_read(
    raw: asyncpg.Connection, somebody: UUID, name: str
) -> None:
    found = await scans(raw, for_owner(name, somebody), user_id=somebody, **CLAIM)
    assert found
    assert "Seq Scan" not in kinds(found)


@pytest.mark.parametrize("name", ["finish", "renew"])
async def test_a_leased_document_is_found_by_its_index(
    raw: asyncpg.Connection, somebody: UUID, name: str
) -> None:
    query = for_owner(name, somebody, verb="complete")
    held = {"id": somebody, "user_id": somebody, "token": somebody, "worker": "w", "attempt": 1}
    found = await scans(raw, query, **held, lease_seconds=60.0, status="ready", error=None)
    assert kinds(found) == {"Index Scan"}
