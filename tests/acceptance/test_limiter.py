"""Four processes and one budget: exactly what it holds, whatever happens to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitwin.database import Database
from tests.integration.limits.processes import allowed, go, workers

TASKS, LIMIT = 800, 1000
BUDGET: dict[str, Any] = {"limit": LIMIT, "window": 30 * 86_400}


async def rest(db: Database) -> int:
    """Ask for what is left, one by one."""
    spent = 0
    while await db.limits.consume("ada", "/chat", **BUDGET):
        spent += 1
    return spent


async def test_exactly_1000_of_3200_are_admitted(digitwin_url: str) -> None:
    async with workers(digitwin_url, 4, tasks=TASKS, **BUDGET) as started:
        for process in started:
            go(process)
        assert sum([await allowed(process) for process in started]) == LIMIT


@pytest.mark.parametrize("lease", [1, 30, 400])
async def test_with_leases_never_more_and_in_the_end_all(
    digitwin_url: str, digitwin_db: Database, lease: int
) -> None:
    async with workers(digitwin_url, 4, tasks=TASKS, lease=lease, **BUDGET) as started:
        for process in started:
            go(process)
        admitted = sum([await allowed(process) for process in started])
    assert admitted <= LIMIT
    assert admitted + await rest(digitwin_db) == LIMIT


@pytest.mark.parametrize("lease", [None, 30])
async def test_a_process_that_is_killed_only_makes_fewer_pass(
    digitwin_url: str, digitwin_db: Database, lease: int | None
) -> None:
    async with workers(digitwin_url, 4, tasks=TASKS, lease=lease, **BUDGET) as started:
        for process in started:
            go(process)
        victim = started[0]
        assert victim.stdout is not None
        said = await victim.stdout.readexactly(1)  # in the middle of its run
        victim.kill()
        admitted = said.count(b"+") + sum([await allowed(process) for process in started])
        assert await asyncio.wait_for(victim.wait(), 10) == -9
    assert 0 < admitted <= LIMIT
    assert admitted + await rest(digitwin_db) <= LIMIT
