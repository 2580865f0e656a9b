"""The rows that operations are measured on, made by the server itself."""

from __future__ import annotations

import json
import random
import re
from array import array
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

TURNS: Final = 50
"""Turns of a session that is read."""
DIMENSIONS: Final = 1536
"""Of an embedding: what the common models give."""
BLOCK: Final = 100_000
"""Rows made by one statement."""
STATEMENT_TIMEOUT: Final = 3600.0
"""Seconds a statement may take."""
USER, SESSION = 1, 2

_SQL: Final = dict(
    re.findall(
        r"^-- name: (\w+)\n(.*?)(?=^-- name:|\Z)",
        Path(__file__).with_name("queries.sql").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)

dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Compact JSON, as digitwin stores it."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are; the sessions that are written to are empty at first.

    Calls ask for ``drawn`` of each kind, from the whole table, again and again.
    ``small`` makes cached values short, where only their number matters.
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


def pack(vector: list[float]) -> bytes:
    """An embedding as float32 bytes, as digitwin stores it."""
    return array("f", vector).tobytes()


def unpack(packed: bytes) -> list[float]:
    """The reverse of :func:`pack`."""
    numbers = array("f")
    numbers.frombytes(packed)
    return numbers.tolist()


ANSWER: Final = {
    "text": "From nine to six, Tuesday to Saturday; the oven rests on Sundays and Mondays. " * 6,
    "model": "example-large",
    "usage": {"input_tokens": 812, "output_tokens": 121},
}
"""A cached response: some 600 bytes of JSON."""


async def fill(url: str, size: Size) -> None:
    """Make all rows, then vacuum and analyze, as the server would have done by then."""
    connection = await asyncpg.connect(url)
    try:
        # without the checks of foreign keys, which would take most of the time
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_SQL["bench_schema"])
        for name, first, end, *rest in _plan(size):
            await _in_blocks(connection, name, first, end, *rest)
        await connection.execute("VACUUM ANALYZE", timeout=STATEMENT_TIMEOUT)
        await connection.execute("CHECKPOINT", timeout=STATEMENT_TIMEOUT)
    finally:
        await connection.close()


def _plan(size: Size) -> tuple[tuple[Any, ...], ...]:
    """The statements, from which number to which, and their other parameters."""
    packed = [pack(vector[:16] if size.small else vector) for vector in vectors()]
    answer = dumps("From nine to six." if size.small else ANSWER)
    written = size.sessions + size.written
    return (
        ("users", 0, size.users),
        ("sessions", 0, size.sessions, size.users, TURNS),
        ("sessions", size.sessions, written, size.users, 0),
        ("turns", 0, size.sessions, size.users, TURNS),
        ("embeddings", 0, size.embeddings, packed),
        ("responses", 0, size.responses, answer),
        ("buckets", 0, size.buckets),
        ("simple_buckets", 0, size.buckets),
    )


async def _in_blocks(
    connection: asyncpg.Connection, name: str, first: int, end: int, *rest: Any
) -> None:
    step = BLOCK // TURNS if name == "turns" else BLOCK
    for start in range(first, end, step):
        last = min(start + step, end) - 1
        await connection.execute(_SQL[name], start, last, *rest, timeout=STATEMENT_TIMEOUT)
