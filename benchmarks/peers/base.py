"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import asyncpg

from benchmarks.filling import dumps, pack
from benchmarks.operations import Arguments
from digitwin import uuid7

POOL: Final = 10
"""Connections of every peer; digitwin's default."""


def _turn(user_id: Any, session_id: Any, turn: Any) -> tuple[Any, ...]:
    texts = turn["user_text"], turn["twin_text"]
    return session_id, *texts, *turn["timings"].values(), *turn["usage"].values()


def _response(key: str, response: Any) -> tuple[Any, ...]:
    text = dumps(response)
    return key, text, len(text.encode())


VALUES: Final[Mapping[str, Callable[..., tuple[Any, ...]]]] = {
    "user_by_email": lambda user_id, email: (email,),
    "user_get": lambda user_id, email: (user_id,),
    "session_with_turns": lambda user_id, session_id: (session_id,),
    "add_turn": _turn,
    "embedding_get": lambda key: (key,),
    "embedding_set": lambda key, vector: (key, pack(vector)),
    "response_get": lambda key: (key,),
    "response_set": _response,
    "consume": lambda subject: (subject,),
}
"""The parameters that differ between the calls of an operation, made of its arguments."""


@dataclass(frozen=True)
class Statement:
    """A statement that digitwin sent for one call of an operation.

    Args:
        method: the peers' method, which is a key of `VALUES`.
        parameters: those of that call.
        places: of the parameters that differ between calls; with whether they are in a list.
        fresh: places of ids that are made for each call; with whether they are in a list.
        columns: the names of the result's columns.
    """

    method: str
    sql: str
    parameters: Sequence[Any]
    places: Sequence[tuple[int, bool]]
    fresh: Sequence[tuple[int, bool]]
    columns: Sequence[str]

    def bind(self, arguments: Arguments, new: Callable[[], Any] = uuid7) -> list[Any]:
        """Return the parameters of another call."""
        bound = [*self.parameters]
        for (n, listed), value in zip(self.places, VALUES[self.method](*arguments), strict=True):
            bound[n] = [value] if listed else value
        for n, listed in self.fresh:
            bound[n] = [new()] if listed else new()
        return bound


@dataclass(frozen=True)
class Place:
    """Where a peer connects to.

    Args:
        url: of PostgreSQL.
        durable: whether commits wait for the disk.
        redis: URL of Redis, if it runs.
        statements: what digitwin sends, by method.
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
    """A contestant in Python. It has no method for what it cannot do."""

    most: ClassVar[int | None] = None
    """Callers that it can have at once, if there is a limit."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def open(self) -> None:
        """Connect."""

    async def prepare(self, method: str, arguments: Sequence[Arguments]) -> None:
        """Store what these calls will ask for, where the tables do not hold it."""

    async def close(self) -> None:
        """Close every connection."""


def columns_of(model: Any) -> list[str]:
    """The columns of a table of ours, in the order of digitwin's statements."""
    return [*model._meta.fields_db_projection]


def read(turns: Iterable[Any]) -> None:
    """Read the texts of each turn, as a caller does: a model that decodes late does it now."""
    for turn in turns:
        turn.user_text, turn.twin_text  # noqa: B018
