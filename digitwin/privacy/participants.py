"""Erasing somebody from other people's twins: who they were, and what was said with them.

The owner's conversation stays as a fact, with its times and counts. What they said is emptied,
and so is what the twin answered: an answer repeats names, wishes and numbers of the question,
and nobody can tell where. Who needs the answers keeps them by ``keep_answers``. The
participant's row goes as a whole, not its name alone: as a pseudonym it would still say which
conversations were the same person's. The sessions end, so that nothing is added to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries

BATCH: Final = 200
"""Sessions emptied by one statement."""

QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Participants by their ref, of one kind or of all, but for one owner's or of all."""

    ref: str
    kind: str | None = None
    except_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Emptied:
    """What was there, and whose twins they had talked to."""

    participants: int
    sessions: int
    turns: int
    owners: frozenset[UUID]


async def empty(on: Statements, chosen: Chosen, *, keep_answers: bool) -> Emptied:
    """Take them out of everybody's conversations, within the caller's transaction.

    Whoever is starting a session with them or adding a turn is waited for first; whoever comes
    later finds no participant, and an ended session.
    """
    known = await on.fetch(QUERIES["lock_participants"], **asdict(chosen))
    them = _by_column(known)
    sessions = await on.fetch(QUERIES["lock_sessions_of"], **them)
    turns = 0
    for start in range(0, len(sessions), BATCH):
        batch = _by_column(sessions[start : start + BATCH])
        turns += await on.fetchval(QUERIES["empty_turns"], **batch, keep_answers=keep_answers)
        await on.execute(QUERIES["end_sessions"], **batch)
    await on.execute(QUERIES["remove_participants"], **them)
    return Emptied(len(known), len(sessions), turns, frozenset(them["owners"]))


def _by_column(rows: Sequence[Any]) -> dict[str, list[UUID]]:
    return {"owners": [row["user_id"] for row in rows], "ids": [row["id"] for row in rows]}
