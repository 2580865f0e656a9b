"""Keeps the index of what was said up to date, in short transactions beside the traffic.

What is not in the index yet is searched as it is, so that nothing depends on when this runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from digitwin.conversations.search.queries import QUERIES, TURNS_PER_ROW
from digitwin.kernel.execution.across_people import across_people
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.ids import NOBODY

TURNS: Final = 512
"""Turns of one transaction, which holds the locks of their sessions meanwhile."""
SESSIONS: Final = 64
"""Sessions of one transaction."""
QUIET: Final = 300.0
"""Seconds without a new turn after which all turns of an active session are indexed."""


class _Part(NamedTuple):
    """The turns of a session that a transaction indexes, from the first row that is not whole."""

    owner: UUID
    id: UUID
    first: int
    last: int
    complete: bool
    added: int


async def index_turns(core: Core) -> int:
    """Index the turns that are not indexed yet, of all people.

    Returns:
        How many turns.

    Raises:
        ConfigurationError: row security applies to this login, and the role for work across
            people is missing or not granted to it.
    """
    core = await across_people(core)
    done, place = 0, (NOBODY, NOBODY)
    while True:
        async with core.transaction():
            sessions = await core.db.fetch(
                QUERIES["next_sessions"],
                after_user=place[0],
                after_id=place[1],
                quiet=QUIET,
                whole_rows=2 * TURNS_PER_ROW,
                sessions=SESSIONS,
            )
            if not sessions:
                return done
            parts = list(_parts(sessions))
            await _index(core.db, parts)
        done += sum(part.added for part in parts)
        # The rest of a session that is cut is for the next transaction, which finds it again
        cut = parts[-1].last < _target(sessions[len(parts) - 1])
        place = (parts[-1].owner, UUID(int=parts[-1].id.int - cut))


def _parts(sessions: Sequence[Any]) -> Iterator[_Part]:
    left = TURNS
    for session in sessions:
        begun, target = session["indexed_to"], _target(session)
        first = begun // TURNS_PER_ROW * TURNS_PER_ROW + 1
        whole = (first - 1 + left) // TURNS_PER_ROW * TURNS_PER_ROW
        last = min(target, whole)
        complete = session["has_ended"] and last == session["turn_count"]
        yield _Part(session["user_id"], session["id"], first, last, complete, last - begun)
        left -= last - first + 1
        if left < TURNS_PER_ROW:
            return


def _target(session: Any) -> int:
    """Return the last turn to index.

    Of an active session that is written to, the newest whole row stays out: its turns still change.
    """
    turns: int = session["turn_count"]
    return turns if session["is_quiet"] else (turns // TURNS_PER_ROW - 1) * TURNS_PER_ROW


async def _index(on: Statements, parts: Sequence[_Part]) -> None:
    keys = {
        "owners": [part.owner for part in parts],
        "ids": [part.id for part in parts],
        "firsts": [part.first for part in parts],
    }
    await on.execute(QUERIES["clear"], **keys)
    await on.execute(
        QUERIES["index"],
        **keys,
        lasts=[part.last for part in parts],
        complete=[part.complete for part in parts],
    )
