"""``digitwin replay``: conversations through the whole stack, each step timed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import Result

from digitwin import load_replay
from digitwin.database import Database
from digitwin.load_replay import replay

Cli = Callable[..., Awaitable[Result]]
SCRIPT = [("twin", "Hello!"), ("user", "Are you open?"), ("twin", "Yes."), ("user", "Bye")]
CONVERSATIONS, TURNS = 12, 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    lines = (
        json.dumps(
            {
                "id": f"c-{number}",
                "user_traits": [],
                "twin_traits": [f"I am twin {number % 3}."],
                "turns": [{"speaker": speaker, "text": text} for speaker, text in SCRIPT],
            }
        )
        for number in range(CONVERSATIONS)
    )
    path.write_text("\n".join(lines), "utf-8")
    return path


async def test_every_turn_takes_every_step(digitwin_db: Database, file: Path) -> None:
    report = await replay(digitwin_db, file, concurrency=5)
    turns = CONVERSATIONS * TURNS
    assert (report.conversations, report.turns, report.denied) == (CONVERSATIONS, turns, 0)
    assert {name: step.count for name, step in report.steps.items()} == {
        "user": CONVERSATIONS,
        "start": CONVERSATIONS,
        "limit": turns,
        "embedding": CONVERSATIONS * 2,
        "search": CONVERSATIONS * 2,
        "response": CONVERSATIONS,
        "open turn": turns,
        "close turn": turns,
        "audit": turns,
        "end": CONVERSATIONS,
    }
    assert report.operations == sum(step.count for step in report.steps.values())
    assert all(0 < step.p50 <= step.p95 <= step.p99 for step in report.steps.values())


async def test_what_was_played_is_stored(digitwin_db: Database, file: Path) -> None:
    await replay(digitwin_db, file, concurrency=5)
    sessions = (await digitwin_db.sessions.list()).items
    assert {session.status for session in sessions} == {"ended"}
    for session in sessions:
        turns = (await digitwin_db.sessions.with_turns(session.id)).turns
        said = [text for turn in turns for text in (turn.user_text, turn.twin_text) if text]
        assert said == [text for _, text in SCRIPT]
    by_action = (await digitwin_db.audit.statistics()).by_action
    assert by_action["turn.add"] == CONVERSATIONS * TURNS


async def test_what_was_looked_up_once_is_cached(digitwin_db: Database, file: Path) -> None:
    await replay(digitwin_db, file, concurrency=1)
    stores = await digitwin_db.cache.statistics()
    embeddings, responses = stores["embeddings"], stores["responses"]
    assert (embeddings.misses, embeddings.hits) == (2, CONVERSATIONS * 2 - 2)
    assert (responses.misses, responses.hits) == (3, CONVERSATIONS - 3)


async def test_it_can_be_played_again(digitwin_db: Database, file: Path) -> None:
    await replay(digitwin_db, file)
    await replay(digitwin_db, file)
    assert await digitwin_db.sessions.count() == CONVERSATIONS * 2


async def test_a_turn_without_budget_is_not_played(
    digitwin_db: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_replay, "BUDGET", 4)
    report = await replay(digitwin_db, file, concurrency=5)
    assert (report.turns, report.denied) == (3 * 4, (CONVERSATIONS - 4) * TURNS)


async def test_the_command_prints_speed_and_percentiles(cli: Cli, file: Path) -> None:
    result = await cli("replay", str(file), "--concurrency", "32")
    assert result.exit_code == 0, result.output
    assert "operations/s" in result.stdout
    for word in ("p50 ms", "p95 ms", "p99 ms", "limit", "embedding", "search", "response", "turn"):
        assert word in result.stdout


@pytest.fixture
def torn(file: Path) -> Path:
    file.write_text(file.read_text("utf-8") + "\n{half", "utf-8")
    return file


async def test_a_bad_line_is_listed_and_the_rest_is_played(cli: Cli, torn: Path) -> None:
    result = await cli("replay", str(torn), "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["conversations"] == CONVERSATIONS
    assert report["bad"][0]["line"] == CONVERSATIONS + 1


async def test_a_concurrency_of_none_is_wrong_usage(cli: Cli, file: Path) -> None:
    assert (await cli("replay", str(file), "--concurrency", "0")).exit_code == 2
