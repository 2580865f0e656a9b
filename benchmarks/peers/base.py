"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import asyncpg

from benchmarks.operations import Arguments

POOL = 10
"""Connections of every peer; digitwin's default."""


@dataclass(frozen=True)
class Statement:
    """A statement that digitwin sent for one call of an operation.

    Args:
        parameters: those of that call.
        places: of the parameters that differ between calls.
        values: makes those of a call's arguments.
    """

    sql: str
    parameters: Sequence[Any]
    places: Sequence[int]
    values: Callable[..., tuple[Any, ...]]

    def bind(self, arguments: Arguments) -> list[Any]:
        """Return the parameters of another call."""
        bound = [*self.parameters]
        for n, value in enumerate(self.values(*arguments)):
            bound[self.places[n]] = value
        return bound


@dataclass(frozen=True)
class Place:
    """Where a peer connects to.

    Args:
        url: of PostgreSQL.
        durable: whether commits wait for the disk.
        redis: URL of Redis, if it runs.
        statements: what digitwin sends, by operation.
    """

    url: str = field(repr=False)
    durable: bool = True
    redis: str | None = None
    statements: Mapping[str, Statement] = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> dict[str, str]:
        """Those with which a session of PostgreSQL begins: the same for all."""
        return {"synchronous_commit": "on" if self.durable else "off", "timezone": "UTC"}

    async def connect(self) -> asyncpg.Connection:
        """Open a connection of asyncpg."""
        return await asyncpg.connect(self.url, server_settings=self.settings)


class Peer:
    """A contestant. It has no method for what it cannot do."""

    name: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    """The distributions whose versions are reported."""
    on_redis: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self.place = place

    async def open(self) -> None:
        """Connect."""

    async def prepare(self, operation: str, arguments: Sequence[Arguments]) -> None:
        """Store what these calls will ask for, if the tables do not hold it."""

    async def close(self) -> None:
        """Close every connection."""
