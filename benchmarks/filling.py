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
from digitwin.kernel.sql import load

TURNS: Final = 50
"""Turns of a session that is read."""
DIMENSIONS: Final = 1536
"""Of an embedding: what the common models give."""
BLOCK: Final = 100_000
"""Rows made by one statement."""
USER, SESSION = 1, 2

_SQL = load(__package__)


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are; the sessions that are written to are empty at first."""

    users: int = 10_000
    sessions: int = 2_000
    written: int = 2_000
    embeddings: int = 5_000
    responses: int = 10_000
    buckets: int = 10_000


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


async def fill(connection: asyncpg.Connection, size: Size, answer: str) -> None:
    """Make all rows, then let the server look at them, as it would have by then."""
    packed = [pack(vector) for vector in vectors()]
    written = size.sessions + size.written
    await _in_blocks(connection, "users", 0, size.users)
    await _in_blocks(connection, "sessions", 0, size.sessions, size.users, TURNS)
    await _in_blocks(connection, "sessions", size.sessions, written, size.users, 0)
    await _in_blocks(connection, "turns", 0, size.sessions, size.users, TURNS, step=BLOCK // TURNS)
    await _in_blocks(connection, "embeddings", 0, size.embeddings, packed)
    await _in_blocks(connection, "responses", 0, size.responses, answer)
    await _in_blocks(connection, "buckets", 0, size.buckets)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


async def _in_blocks(
    connection: asyncpg.Connection, name: str, first: int, end: int, *rest: Any, step: int = BLOCK
) -> None:
    for start in range(first, end, step):
        await connection.execute(_SQL[name], start, min(start + step, end) - 1, *rest, timeout=600)
