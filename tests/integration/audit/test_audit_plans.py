"""Every question to the trail has an index; the planner is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from digitwin.audit.purging import BATCH
from digitwin.audit.repository import QUERIES
from digitwin.audit.sealing import MAX_TIME
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7

NEWEST = " ORDER BY id DESC LIMIT 51"


@pytest.fixture
async def busy_trail(digitwin_db: Database) -> Database:
    """Twenty thousand records about two thousand people."""
    people = [uuid7() for _ in range(2000)]
    for start in range(0, 20_000, 10_000):
        await digitwin_db.audit.record_many(
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
    await digitwin_db._core.db.execute("ANALYZE audit_logs")
    return digitwin_db


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that read a partition with records in it."""
    below = [scan for child in plan.get("Plans", ()) for scan in scans(child)]
    filled = "Relation Name" in plan and plan["Plan Rows"] > 2
    return [*below, plan] if filled else below


async def plan_of(db: Database, sql: str, *args: Any) -> dict[str, Any]:
    [row] = await db._core.db.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *args)
    plan: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return plan


async def plan_of_query(db: Database, name: str, **values: Any) -> dict[str, Any]:
    query = QUERIES[name]
    return await plan_of(db, query.sql, *query.bind(values))


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
async def test_a_page_reads_an_index(busy_trail: Database, filters: str, value: Any) -> None:
    plan = await plan_of(busy_trail, f"SELECT id FROM audit_logs WHERE {filters} $1{NEWEST}", value)
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans(plan)}


async def test_the_newest_page_reads_no_more_than_itself(busy_trail: Database) -> None:
    plan = await plan_of(busy_trail, f"SELECT id FROM audit_logs{NEWEST}")
    assert plan["Node Type"] == "Limit"
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans(plan)}


async def test_a_purge_reads_only_what_is_old(busy_trail: Database) -> None:
    cutoff = await busy_trail._core.db.fetchval(QUERIES["cutoff"], age=3600.0)
    plan = await plan_of_query(busy_trail, "purge_batch", cutoff=cutoff, limit=BATCH, upto=9)
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans(plan)}


async def test_sealing_and_its_probe_read_what_is_new(busy_trail: Database) -> None:
    await busy_trail.audit.seal()
    await busy_trail._core.db.execute("ANALYZE audit_leaves")
    horizon = await busy_trail._core.db.fetchval("SELECT max(horizon) FROM audit_seals")
    start = {"after_time": horizon, "after_id": uuid7(), "until": MAX_TIME, "limit": 5000}
    for plan in (
        await plan_of_query(busy_trail, "unsealed", **start),
        await plan_of_query(busy_trail, "oldest_unsealed"),
    ):
        assert "Seq Scan" not in {scan["Node Type"] for scan in scans(plan)}
