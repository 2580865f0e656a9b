"""Cores for the caller and for the servers, so that a run does not depend on who meets whom.

Left to itself, the scheduler puts both on one core at times and on two at others, above all on
a busy machine: a call over a socket then takes half or twice as long, and ratios mean nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WAYS: Final = ("apart", "shared", "any")
"""The caller on one core and the servers on the others, as over a network; all on one, where
nobody waits for a core to wake up and only work counts; or as the scheduler likes."""


@contextmanager
def for_servers(way: str) -> Iterator[None]:
    """What is started here has the servers' cores; the caller has its own after that.

    Where there is one core only, or the system does not allow it, nothing happens.
    """
    allowed = _allowed()
    if way == "any" or len(allowed) < 2:
        yield
        return
    os.sched_setaffinity(0, allowed[1:] if way == "apart" else allowed[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed[:1])


@contextmanager
def given_back() -> Iterator[None]:
    """After it, all cores are allowed again."""
    allowed = _allowed()
    try:
        yield
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)


def _allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
