"""Each statement reads a range of the key, beside the memories of others and under row security."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.memories.queries import QUERIES, bounds, filtering, in_place
from digitwin.testing.databases import Databases
from tests.support.plans import explain, explain_generic, filled, kinds, scans_of

FILL = (
    "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'N'"
    " FROM generate_series(1, 200) AS n",
    "INSERT INTO memories (user_id, audience, namespace, key, value, words)"
    " SELECT id, 'owner', 'n' || n % 10 || '.m', 'k' || n, '{}', 'a' FROM users,"
    " generate_series(1, 100) AS n",
    "INSERT INTO memories (user_id, audience, namespace, key, value, ttl_seconds, expires_at)"
    " SELECT id, 'visitor', 'n', 'k', '{}', 1, now() FROM users LIMIT 20",
)


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, *FILL, "ANALYZE memories") as url:
        yield url


PAGE = {"limit": 10, "offset": 0}
FILTER = {"paths": ["{a}"], "operators": ["="], "operands": ["1"]}
AT = {"namespaces": ["n1.m"], "keys": ["k1"]}
PLACED = {
    "find": (lambda: QUERIES["find"], AT),
    "refresh": (lambda: QUERIES["refresh"], AT),
    "delete": (lambda: QUERIES["delete"], AT),
    "search": (lambda: filtering("search", "n1", filters=True), {**PAGE, **FILTER}),
    "rank": (lambda: filtering("rank", "n1", filters=False), {**PAGE, "terms": ["a"]}),
    "namespaces": (
        lambda: in_place("namespaces", "n1"),
        {**PAGE, "max_depth": None, "from_end": [], "patterns": []},
    ),
}


@pytest.mark.parametrize("name", PLACED)
@pytest.mark.parametrize("generic", [False, True], ids=["these values", "any values"])
async def test_a_place_is_a_range_of_the_key(
    raw: asyncpg.Connection, name: str, generic: bool
) -> None:
    query, values = PLACED[name]
    user: UUID = await raw.fetchval("SELECT min(id::text)::uuid FROM users")
    given: dict[str, Any] = {"user_id": user, "audience": "owner", **bounds("n1"), **values}
    async with raw.transaction():
        await raw.execute("SELECT set_config('digitwin.user_id', $1, true)", str(user))
        await raw.execute("SET LOCAL ROLE digitwin_app")
        plan = await (explain_generic(raw, query()) if generic else explain(raw, query(), **given))
    found = scans_of(plan, "memories")
    assert "Seq Scan" not in kinds(found)
    conditions = [node["Index Cond"] for node in found if "Index Cond" in node]
    assert conditions
    for condition in conditions:
        assert "namespace = " in condition or "namespace < " in condition, condition


async def test_what_has_expired_is_found_by_an_index(raw: asyncpg.Connection) -> None:
    found = scans_of(await explain(raw, QUERIES["purge"], batch=500), "memories")
    assert "ix_memories__expires_at" in {node.get("Index Name") for node in found}
