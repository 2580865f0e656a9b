"""What the README shows runs, and gives what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from digitwin.servers import embedded
from tests.support import checkout

README = checkout.read("README.md")


def example(beginning: str) -> str:
    """The README's block of code that begins so."""
    found = re.search(rf"```python\n({re.escape(beginning)}.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def marked(name: str) -> str:
    """What stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_runs_and_prints_what_it_says(digitwin_url: str, tmp_path: Path) -> None:
    claimed = re.search(r"It prints `(.*)`\.", README)
    assert claimed is not None
    done = subprocess.run(
        [sys.executable, "-c", example("import asyncio\nimport digitwin")],
        env=os.environ | {"DIGITWIN_DATABASE_URL": digitwin_url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{claimed[1]}\n"


@pytest.mark.skipif(not embedded.is_installed(), reason="the demo needs digitwin[embedded]")
def test_the_demo_prints_what_is_shown_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("digitwin"), "demo"],
        env={"DIGITWIN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "COLUMNS": "80"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown = [line for line in without_figures(marked("demo")) if line.strip("` .")]
    assert len(shown) > 10
    assert [line for line in shown if line not in without_figures(done.stdout)] == []


def without_figures(told: str) -> list[str]:
    """Its lines but for what differs from run to run: the times, and the bars that show them."""
    lines = re.sub(r"[\d.]+(?= ms\b|% spent)", "#", re.sub("[█░]+", "", told)).splitlines()
    return [" ".join(line.split()) for line in lines]


async def test_the_service_answers_for_its_own_people(
    digitwin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITWIN_DATABASE_URL", digitwin_url)
    names: dict[str, Any] = {"__name__": "service"}
    exec(compile(example("from contextlib"), "README.md", "exec"), names)
    app = names["app"]
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        db = app.state.db
        ada = await db.users.create(email="ada@example.com", name="Ada")
        ben = await db.users.create(email="ben@example.com", name="Ben")
        session = await db.sessions.start(ada.id)
        await db.sessions.add_turn(session.id, user_text="Hello", twin_text="Hi there")
        own = await client.get(f"/twins/{ada.id}/sessions/{session.id}")
        anothers = await client.get(f"/twins/{ben.id}/sessions/{session.id}")
    assert own.json() == [["Hello", "Hi there"]]
    assert (anothers.status_code, anothers.json()) == (404, {"error": "not_found"})


def test_the_fixture_does_what_the_example_shows(pytester: pytest.Pytester) -> None:
    """In a project of its own."""
    pytester.makepyfile(example("async def test_greets"))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_example_of_a_fake_is_a_test_here() -> None:
    """Run where it stands, and read by the type checker."""
    written = checkout.read("tests/unit/protocols/test_example.py")
    assert written.endswith(example("from typing import Any"))


def test_what_was_measured_is_what_is_stored() -> None:
    report = pytest.importorskip("benchmarks.report")
    results = pytest.importorskip("benchmarks.results")
    newest = results.newest()
    assert marked("measured") == report.excerpt(newest)
    page = report.page(newest, results.newest_growth())
    assert checkout.read("benchmarks/results/latest.md") == page
