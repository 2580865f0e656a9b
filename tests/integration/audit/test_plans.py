"""Every question to the trail has an index; the planner is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from digitwin.audit.purging import BATCH
from digitwin.audit.repository import QUERIES
from digitwin.audit.sealing import MAX_TIME
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7
from digitwin.testing.databases import Databases
from tests.support.plans import Node, explain, filled

NEWEST = " ORDER BY id DESC LIMIT 51"


async def record(db: Database) -> None:
    """Twenty thousand records about two thousand people, all sealed."""
    people = [uuid7() for _ in range(2000)]
    for start in range(0, 20_000, 10_000):
        await db.audit.record_many(
            {
                "action": f"action {n % 200}",
                "resource": f"resource {n % 100}",
                "resource_id": str(n),
                "user_id": people[n % 2000],
                "actor_id": people[-n % 2000],
                "result": "denied" if n % 500 == 0 else "success",
            }
            for n in range(start, start + 10_000)
        )
    await db.audit.seal()


@pytest.fixture(scope="module")
def digitwin_url(_digitwin_databases: Databases) -> Iterator[str]:
    with filled(_digitwin_databases, record, "ANALYZE audit_logs, audit_leaves") as url:
        yield url


def read_whole(nodes: list[Node]) -> list[str]:
    """The partitions with records that are read as a whole."""
    return [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node["Plan Rows"] > 2
    ]


@pytest.mark.parametrize(
    ("filters", "value"),
    [
        ("action =", "action 7"),
        ("resource =", "resource 3"),
        ("resource = 'resource 7' AND resource_id =", "7"),
        ("actor_id =", uuid7()),
        ("user_id =", uuid7()),
        ("result =", "denied"),
        ("id <", uuid7()),
    ],
)
async def test_a_page_reads_an_index(raw: asyncpg.Connection, filters: str, value: Any) -> None:
    sql = f"SELECT id FROM audit_logs WHERE {filters} $1{NEWEST}"
    assert read_whole(await explain(raw, sql, value)) == []


async def test_the_newest_page_reads_no_more_than_itself(raw: asyncpg.Connection) -> None:
    nodes = await explain(raw, f"SELECT id FROM audit_logs{NEWEST}")
    assert nodes[0]["Node Type"] == "Limit"
    assert read_whole(nodes) == []


async def test_a_purge_reads_only_what_is_old(raw: asyncpg.Connection) -> None:
    cutoff = await raw.fetchval("SELECT now() - interval '1 hour'")
    nodes = await explain(raw, QUERIES["purge_batch"], cutoff=cutoff, limit=BATCH, upto=9)
    assert read_whole(nodes) == []


async def test_sealing_and_its_probe_read_what_is_new(raw: asyncpg.Connection) -> None:
    horizon = await raw.fetchval("SELECT max(horizon) FROM audit_seals")
    start = {"after_time": horizon, "after_id": uuid7(), "until": MAX_TIME, "limit": 5000}
    for name, values in (("unsealed", start), ("oldest_unsealed", {"most": 10_000})):
        assert read_whole(await explain(raw, QUERIES[name], **values)) == []
