"""What a peer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from benchmarks.filling import ANSWER, vectors
from digitwin.kernel.connection import dsn

POOL = 10
"""Connections of every peer; digitwin's own default."""


@dataclass(frozen=True)
class Place:
    """Where a peer connects to.

    Args:
        url: of PostgreSQL.
        durable: whether commits wait for the disk.
        redis: of Redis, where it runs.
    """

    url: str = field(repr=False)
    durable: bool = True
    redis: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What a session of PostgreSQL begins with: the same for all."""
        return {"synchronous_commit": "on" if self.durable else "off", "timezone": "UTC"}

    @property
    def redis_url(self) -> str:
        """For those that are asked only where it runs."""
        assert self.redis is not None
        return self.redis

    def asyncpg_arguments(self) -> dict[str, Any]:
        """For ``asyncpg.connect`` and ``asyncpg.create_pool``."""
        return {**dsn.parse(self.url).connect_args(), "server_settings": self.settings}


class Peer:
    """A contestant. What it cannot do it has no method for."""

    name: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    """The distributions whose versions are told."""
    on_redis: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self.place = place

    async def open(self) -> None:
        """Connect."""

    async def prepare(self, operation: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        """Make what these calls will ask for, where the tables do not hold it."""

    async def close(self) -> None:
        """Leave nothing open."""


class StartsEmpty(Peer):
    """A cache that holds nothing of what it is asked for, until it is prepared."""

    async def prepare(self, operation: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        made = {"embedding_get": vectors()[0], "response_get": ANSWER}.get(operation)
        if made is not None:
            store = getattr(self, operation.replace("_get", "_set"))
            for (key,) in arguments:
                await store(key, made)
