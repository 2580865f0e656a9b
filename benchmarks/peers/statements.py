"""The statements that digitwin sends, for the peers that send the same.

Whoever sends them prepares the parameters as the driver wants them, and checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks.operations import ENDPOINT, LIMIT, TTL, WINDOW
from benchmarks.packing import pack
from benchmarks.peers.base import Place
from digitwin.cache.cache_table import compiled
from digitwin.conversations.fields import STAGES, TOKENS
from digitwin.conversations.statements import statement
from digitwin.conversations.turn_log import LAST
from digitwin.kernel.primitives.ids import NOBODY, uuid7
from digitwin.kernel.primitives.jsonb import dumps
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import load
from digitwin.limits.buckets import CONSUME
from digitwin.users.models import User

CACHE: Final = (NOBODY, "owner")
"""Whose entries the cache is asked for."""


@cache
def sql(operation: str) -> str:
    """The statement of an operation; known once a handle was opened."""
    builders: dict[str, Callable[[], str]] = {
        "user_by_email": _user_by_email,
        "session_with_turns": lambda: statement("with_turns", owner_known=False),
        "add_turn": lambda: statement("add_turn", owner_known=False),
        "embedding_get": lambda: compiled("embedding_cache", "embeddings", "get"),
        "embedding_set": lambda: compiled("embedding_cache", "embeddings", "set"),
        "response_get": lambda: compiled("llm_response_cache", "responses", "get"),
        "response_set": lambda: compiled(
            "llm_response_cache", "responses", "set", counts_hits=True
        ),
        "consume": lambda: CONSUME,
    }
    return builders[operation]()


def _user_by_email() -> str:
    return load("digitwin.users")["by_email"].format(u_columns=columns(User, "u."))


def turn_row(session_id: UUID, turn: Mapping[str, Any]) -> tuple[Any, ...]:
    """The parameters of ``add_turn``."""
    return (
        None,
        session_id,
        uuid7(),
        turn["user_text"],
        turn["twin_text"],
        None,
        "completed",
        *map(turn["timings"].get, STAGES),
        *map(turn["usage"].get, TOKENS),
        None,
    )


def session_key(session_id: UUID) -> tuple[Any, ...]:
    """The parameters of ``session_with_turns``."""
    return None, session_id, LAST, None


def embedding_row(key: str, vector: list[float]) -> tuple[Any, ...]:
    """The parameters of ``embedding_set``."""
    packed = pack(vector)
    return *CACHE, key, packed, [], len(packed), TTL


def response_row(key: str, response: Any) -> tuple[Any, ...]:
    """The parameters of ``response_set``."""
    text = dumps(response)
    return *CACHE, key, text, [], len(text.encode()), TTL


def bucket(subject: str) -> tuple[Any, ...]:
    """The parameters of ``consume``."""
    return subject, ENDPOINT, WINDOW * 1000, float(LIMIT), 1.0


async def check(place: Place, operation: str) -> None:
    """Make sure that this is what digitwin has just sent.

    Raises:
        AssertionError: the package has moved on, and this module has not.
    """
    connection = await asyncpg.connect(**place.asyncpg_arguments())
    try:
        seen = await connection.fetch(_SENT)
    finally:
        await connection.close()
    shown = min(len(sql(operation)), _SHOWN)
    if not any(row["query"][:shown] == sql(operation)[:shown] for row in seen):
        raise AssertionError(f"digitwin sends something else for {operation} by now")


_SHOWN = 1000
"""Characters of a statement that the server shows; it shows 1,023 bytes."""
_SENT = (
    "SELECT query FROM pg_stat_activity"
    " WHERE application_name = 'digitwin' AND datname = current_database()"
)
