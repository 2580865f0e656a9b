"""A process that forks with a handle open: the child is refused, the parent notices nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.acceptance import forking

REFUSED = "InvalidStateError: This handle was opened in the process that this one was forked from"
MET = {
    "ready": "false",
    "health": '[false, "The handle was opened in the process that this one was forked from"]',
    "model": "InvalidStateError: No digitwin handle is open",
    "left_task": "ClosedError",
    "close": '"closed"',
    "own_handle": "[true, true]",
    "socket": "foreign ",
    "exit": "SystemExit: 3",
    "commit": "ConnectionFailedError",
}
"""What a child meets; everything else is refused."""


@pytest.fixture(params=["asyncio", "uvloop"])
def told(request: pytest.FixtureRequest, digitwin_url: str) -> dict[str, tuple[str, str]]:
    pytest.importorskip(request.param)
    done = subprocess.run(
        [sys.executable, "-m", forking.__name__, digitwin_url, request.param],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert not done.returncode, done.stderr
    told: dict[str, tuple[str, str]] = json.loads(done.stdout)
    return told


def test_a_child_is_refused_and_its_parent_goes_on(told: dict[str, tuple[str, str]]) -> None:
    """Whatever the child does, on its own loop, on the inherited one, or inside a transaction."""
    assert len(told) == 2 * len(forking.DEEDS) + 6
    for name, (child, parent) in told.items():
        assert child.startswith(MET.get(name.split()[0], REFUSED)), (name, child)
        assert parent == "well", (name, parent)
