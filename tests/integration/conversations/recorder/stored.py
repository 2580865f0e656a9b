"""What a session holds, as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

TABLES = (
    "SELECT * FROM conversation_turns WHERE session_id = $1 ORDER BY position",
    "SELECT * FROM turn_items WHERE session_id = $1 ORDER BY number",
    "SELECT * FROM usage_records WHERE session_id = $1 ORDER BY id",
    "SELECT * FROM turn_sources WHERE session_id = $1 ORDER BY id",
)


@dataclass(frozen=True)
class Stored:
    """Turns in order, with their texts; items in order; usage and sources."""

    turns: list[Any]
    items: list[Any]
    usage: list[Any]
    sources: list[Any]

    @property
    def texts(self) -> list[tuple[str | None, str | None]]:
        return [(turn["user_text"], turn["twin_text"]) for turn in self.turns]

    @property
    def statuses(self) -> list[str]:
        return [turn["status"] for turn in self.turns]


async def stored_in(raw: asyncpg.Connection, session_id: UUID) -> Stored:
    """Read the session, and assert that its positions and numbers have no gap."""
    async with raw.transaction(isolation="repeatable_read", readonly=True):
        tables = [[dict(row) for row in await raw.fetch(query, session_id)] for query in TABLES]
        count = await raw.fetchval(
            "SELECT turn_count FROM conversation_sessions WHERE id = $1", session_id
        )
    stored = Stored(*tables)
    for item in stored.items:
        item["payload"] = json.loads(item["payload"])
    assert [turn["position"] for turn in stored.turns] == list(range(1, len(stored.turns) + 1))
    assert count == len(stored.turns)
    for turn in stored.turns:
        assert turn["ended_at"] is None or turn["ended_at"] >= turn["started_at"]
    return stored
