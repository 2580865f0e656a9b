"""The demo claims nothing that it has not seen."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from digitwin.demo.rendering import print_scene, print_share
from digitwin.demo.reply import Part, Share, measure
from digitwin.demo.scene import ClaimFailedError, Scene


async def nothing() -> int:
    return 7


async def test_a_tick_carries_the_calls_since_the_last_one() -> None:
    scene = Scene("a scene")
    assert await scene.call("first", nothing()) == 7
    await scene.call("second", nothing())
    scene.tick("both", True)
    scene.tick("no call", True)
    assert [[call.name for call in tick.calls] for tick in scene.ticks] == [["first", "second"], []]
    assert scene.ticks[0].milliseconds >= 0


def test_a_claim_that_does_not_hold_is_no_tick() -> None:
    scene = Scene("a scene")
    with pytest.raises(ClaimFailedError, match="it snows"):
        scene.tick("it snows", False)
    assert scene.ticks == []


async def test_a_reply_is_measured_call_by_call() -> None:
    played: list[str] = []

    async def quick() -> None:
        played.append("quick")

    async def slow() -> None:
        played.append("slow")
        await asyncio.sleep(0.002)

    share = await measure({("quick", "a"): quick, ("slow", "b"): slow})
    assert [part.name for part in share.parts] == ["quick", "slow"]
    assert played[:4] == ["quick", "slow", "quick", "slow"]
    assert share.parts[1].median >= 2 > share.parts[0].median
    assert share.p95 >= share.median >= share.parts[1].median


def told(console_width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=console_width)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_scene_shows_its_ticks_and_what_failed() -> None:
    scene = Scene("A scene", stored=["a row"], failure="it does not snow")
    scene.tick("it rains", True)
    console = told()
    print_scene(console, 3, scene)
    for part in ("3", "A scene", "✓", "it rains", "a row", "✗", "it does not snow"):
        assert part in text(console)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_share_is_told_against_its_budget(width: int) -> None:
    console = told(width)
    print_share(console, Share((Part("add_turn", "remember", 3.0, 4.0),), 5.0, 6.0))
    assert "add_turn" in text(console)
    assert "2.5%" in text(console)
    assert "195 ms" in text(console)


def test_on_eighty_columns_every_call_of_the_share_keeps_to_its_line() -> None:
    console = told(80)
    longest = Part("sessions.add_turn", "embedding of the question", 99.9, 99.9)
    print_share(console, Share((longest,), 99.9, 99.9))
    lines = text(console).splitlines()
    assert any("embedding of the question" in line and "99.9 ms" in line for line in lines)
    assert any("are left for speech and the model" in line for line in lines)
