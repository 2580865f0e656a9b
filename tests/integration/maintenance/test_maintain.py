"""One run of maintenance: everything past its time goes, the rest stays, and it says so."""

from __future__ import annotations

import asyncio
import re

import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import QueryTimeoutError
from digitwin.kernel.execution.maintenance import MaintenanceStep, maintain
from tests.support import checkout

AGE = "now() - interval '400 days'"


@pytest.fixture
async def aged(digitwin_db: Database) -> Database:
    """A database in which something of every kind is past its time, and something is not."""
    db = digitwin_db
    for n in range(5):
        await db.cache.embeddings.set(f"old {n}", [0.5])
        await db.cache.responses.set(f"old {n}", "answer")
        await db.limits.consume(f"old {n}", "/talk", limit=5, window=60)
    for table in ("embedding_cache", "llm_response_cache"):
        await db._core.db.execute(f"UPDATE {table} SET expires_at = {AGE}")
    await db._core.db.execute(f"UPDATE rate_limits SET updated_at = {AGE}")
    await db._core.db.execute(
        "INSERT INTO audit_logs (id, action, resource, created_at)"
        f" SELECT gen_random_uuid(), 'old', 'r', {AGE} FROM generate_series(1, 7)"
    )
    await db.cache.embeddings.set("young", [0.5])
    await db.limits.consume("young", "/talk", limit=5, window=60)
    await db.audit.record("young", "r")
    return db


async def test_what_is_past_its_time_goes_and_is_counted(aged: Database) -> None:
    report = await aged.maintain()
    assert sum(report.cache_rows.values()) == 10
    assert (report.limit_buckets, report.audit_records, report.audit_partitions) == (5, 7, 0)
    assert report.duration_seconds > 0


async def test_what_is_young_stays(aged: Database) -> None:
    await aged.maintain()
    assert await aged.cache.embeddings.get("young") == [0.5]
    assert (await aged.limits.peek("young", "/talk", limit=5, window=60)).remaining == 4
    assert [record.action for record in (await aged.audit.list()).items] == ["young"]


async def test_a_second_run_finds_nothing(aged: Database) -> None:
    await aged.maintain()
    report = await aged.maintain()
    assert sum(report.cache_rows.values()) == 0
    assert (report.limit_buckets, report.audit_records) == (0, 0)


async def test_instances_at_once_share_the_work(aged: Database) -> None:
    reports = await asyncio.gather(*(aged.maintain() for _ in range(4)))
    assert sum(sum(report.cache_rows.values()) for report in reports) == 10
    assert sum(report.limit_buckets for report in reports) == 5
    assert sum(report.audit_records for report in reports) == 7


async def test_months_to_come_are_made(digitwin_db: Database) -> None:
    db = digitwin_db
    last = await db._core.db.fetchval(
        "SELECT max(relid::regclass::text) FROM pg_partition_tree('audit_logs')"
        " WHERE relid::regclass::text LIKE 'audit_logs_y%'"
    )
    await db._core.db.execute(f"DROP TABLE {last}")
    assert (await db.maintain()).audit_partitions == 1


async def test_an_open_transaction_is_not_joined(aged: Database) -> None:
    with pytest.raises(RuntimeError):
        async with aged.transaction():
            await aged.maintain()
            raise RuntimeError
    assert (await aged.maintain()).audit_records == 0


def step(name: str, count: int = 0, failure: Exception | None = None) -> MaintenanceStep:
    """A step of which the test says how it goes."""

    async def run() -> int:
        if failure:
            raise failure
        return count

    return MaintenanceStep(name, f"{name} done", run)


async def test_every_step_is_announced_as_it_begins() -> None:
    heard: list[str] = []
    report = await maintain([step("a", 2), step("b", 5)], heard.append)
    assert heard == ["a done", "b done"]
    assert (report.a, report.b) == (2, 5)
    with pytest.raises(AttributeError, match="'c'"):
        _ = report.c


async def test_a_failed_step_is_raised_after_the_others_were_done() -> None:
    done: list[str] = []

    async def run() -> int:
        done.append("after")
        return 1

    failing = step("a", failure=QueryTimeoutError("busy"))
    with pytest.raises(QueryTimeoutError, match="busy"):
        await maintain([failing, MaintenanceStep("b", "b done", run)])
    assert done == ["after"]


async def test_the_report_has_a_count_for_each_step_of_each_domain(digitwin_db: Database) -> None:
    steps = digitwin_db.maintenance_steps()
    report = await digitwin_db.maintain()
    assert list(report.counts) == [step.name for step in steps]
    assert len({step.name for step in steps}) == len(steps)


async def test_the_documents_list_every_step(digitwin_db: Database) -> None:
    setup = checkout.read("SETUP.md")
    listed = re.findall(r"^\| `(\w+)` \| (.*?) \|$", setup, re.MULTILINE)
    steps = [(step.name, step.does) for step in digitwin_db.maintenance_steps()]
    assert [row for row in listed if row[0] in dict(steps)] == steps


async def test_the_handle_takes_care_of_itself(aged: Database, digitwin_url: str) -> None:
    async with digitwin.connect(digitwin_url, maintenance_interval=0.02) as db:
        async with asyncio.timeout(10):
            while (await db.audit.statistics()).total > 1:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
    assert [record.action for record in (await aged.audit.list()).items] == ["young"]


async def test_a_handle_closes_in_the_middle_of_maintenance(digitwin_url: str) -> None:
    for _ in range(5):
        db = await digitwin.connect(digitwin_url, maintenance_interval=0.01)
        await db.health()
        async with asyncio.timeout(5):
            await db.close()
