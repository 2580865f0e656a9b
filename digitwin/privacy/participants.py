"""Redaction of a participant's conversations with other people's twins.

The owner keeps the conversation as a fact, with its times and counts. The participant's words
become empty, and so do the twin's answers, which may repeat names or numbers from the question;
``keep_answers`` keeps them. The participant's row is deleted, not only its name: a remaining
pseudonym would still link conversations of one person. The sessions are ended, so that no turn
is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.spelling import spellings

BATCH: Final = 200
"""Sessions redacted by one statement."""

QUERIES = Queries(__package__, spellings=spellings(":ref::text"))


@dataclass(frozen=True, slots=True)
class ParticipantFilter:
    """Selects participants by ref; optionally of one kind, or excluding one owner."""

    ref: str = field(repr=False)
    kind: str | None = None
    except_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Redaction:
    """Counts of a redaction, and the owners of the twins concerned."""

    participants: int
    sessions: int
    turns: int
    owners: frozenset[UUID]


async def redact(on: Statements, selected: ParticipantFilter, *, keep_answers: bool) -> Redaction:
    """Redact the conversations of the selected participants, in the caller's transaction.

    Waits for concurrent writers that start a session with them or add a turn; later writers
    find no participant and an ended session.
    """
    known = await on.fetch(QUERIES["lock_participants"], **asdict(selected))
    keys = _by_column(known)
    sessions = await on.fetch(QUERIES["lock_sessions_of"], **keys)
    turns = 0
    for start in range(0, len(sessions), BATCH):
        batch = _by_column(sessions[start : start + BATCH])
        turns += await on.fetchval(QUERIES["redact_turns"], **batch, keep_answers=keep_answers)
        await on.execute(QUERIES["end_sessions"], **batch)
    await on.execute(QUERIES["remove_participants"], **keys)
    return Redaction(len(known), len(sessions), turns, frozenset(keys["owners"]))


def _by_column(rows: Sequence[Any]) -> dict[str, list[UUID]]:
    return {"owners": [row["user_id"] for row in rows], "ids": [row["id"] for row in rows]}
