"""The rows that operations are measured on, made by the server itself."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks.packing import pack
from digitwin.kernel.primitives.jsonb import dumps
from digitwin.kernel.sql.queries import load

TURNS: Final = 50
"""Turns of a session that is read."""
DIMENSIONS: Final = 1536
"""Of an embedding: what the common models give."""
BLOCK: Final = 100_000
"""Rows made by one statement."""
PATIENCE: Final = 3600.0
"""Seconds a statement may take."""
USER, SESSION = 1, 2

_SQL = load(__package__)


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are; the sessions that are written to are empty at first.

    ``drawn`` of each kind are asked for, from the whole table, round and round.
    ``small`` makes cached values short ones: what counts then is how many there are.
    """

    users: int = 10_000
    sessions: int = 2_000
    written: int = 2_000
    embeddings: int = 5_000
    responses: int = 10_000
    buckets: int = 10_000
    small: bool = False
    drawn: int = 1000


def identity(kind: int, number: int) -> UUID:
    """The id of a row, as ``queries.sql`` makes it."""
    return UUID(f"01990000-0000-7000-800{kind}-{number:012x}")


@cache
def vectors() -> list[list[float]]:
    """A hundred embeddings, the same on every run."""
    chance = random.Random(1536)
    return [
        array("f", [chance.gauss(0, 0.03) for _ in range(DIMENSIONS)]).tolist() for _ in range(100)
    ]


ANSWER: Final = {
    "text": "From nine to six, Tuesday to Saturday; the oven rests on Sundays and Mondays. " * 6,
    "model": "example-large",
    "usage": {"input_tokens": 812, "output_tokens": 121},
}
"""A cached response: some 600 bytes of JSON."""


async def fill(connection: asyncpg.Connection, size: Size) -> None:
    """Make all rows, then let the server look at them, as it would have by then."""
    # the rows fit together: what checks that, row by row, takes most of the time
    await connection.execute("SET session_replication_role = replica")
    packed = [pack(vector[:16] if size.small else vector) for vector in vectors()]
    answer = dumps("From nine to six." if size.small else ANSWER)
    written = size.sessions + size.written
    for name, first, end, *rest in (
        ("users", 0, size.users),
        ("sessions", 0, size.sessions, size.users, TURNS),
        ("sessions", size.sessions, written, size.users, 0),
        ("turns", 0, size.sessions, size.users, TURNS),
        ("embeddings", 0, size.embeddings, packed),
        ("responses", 0, size.responses, answer),
        ("buckets", 0, size.buckets),
    ):
        await _in_blocks(connection, name, first, end, *rest)
    await connection.execute("VACUUM ANALYZE", timeout=PATIENCE)
    await connection.execute("CHECKPOINT", timeout=PATIENCE)


async def _in_blocks(
    connection: asyncpg.Connection, name: str, first: int, end: int, *rest: Any
) -> None:
    step = BLOCK // TURNS if name == "turns" else BLOCK
    for start in range(first, end, step):
        last = min(start + step, end) - 1
        await connection.execute(_SQL[name], start, last, *rest, timeout=PATIENCE)
