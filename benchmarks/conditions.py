"""Under what everything is measured: which server, how it is reached, whose event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from benchmarks import servers

FEW: Final = ("digitwin", "scoped", "floor", "psycopg", "tortoise", "sqlalchemy")
"""Peers that are measured under every condition."""


@dataclass(frozen=True)
class Condition:
    """One section of the report.

    Args:
        missing: why it cannot be had here.
        peers: whom it is about; None is everybody.
    """

    name: str
    title: str
    server: Callable[[], AbstractContextManager[str]]
    missing: Callable[[], str | None]
    uvloop: bool = True
    peers: tuple[str, ...] | None = FEW

    def loop(self) -> asyncio.Runner:
        """An event loop of its kind."""
        if not self.uvloop:
            return asyncio.Runner()
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _no_uvloop() -> str | None:
    return None if find_spec("uvloop") else f"uvloop does not run on {sys.platform}"


def _nothing() -> None:
    return None


CONDITIONS: Final = [
    Condition("socket", "Unix socket, uvloop", servers.embedded, _no_uvloop, peers=None),
    Condition("asyncio", "Unix socket, asyncio's loop", servers.embedded, _nothing, uvloop=False),
    Condition("tls", "TCP with TLS, uvloop", servers.with_tls, servers.without_tls),
]
"""The first is the one that the promises are about."""
