"""Redaction of a participant's conversations with other people's twins.

The owner keeps the conversation as a fact, with its times, counts and costs. The participant's
words become empty, and so do the twin's answers, which may repeat names or numbers from the
question; ``keep_answers`` keeps them. Items are removed, since tool calls and parts repeat what was
said, and what was recorded of them is queued for deletion. The speaker of a turn is its own
participant, else that of its session: a second speaker's erasure leaves the other's words.

The registry says what happens to the rows of each table (``PersonalData.redacted``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from digitwin.conversations.tables import SPOKEN_IN
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.repository.base import the_only
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.spelling import spellings
from digitwin.kernel.sql.tables import TABLES, Redacted, Table, personal
from digitwin.privacy.artifacts import Artifacts
from digitwin.privacy.batches import all_batches, erase_batch, redact_batch
from digitwin.privacy.subjects import Guest, Participant, ParticipantFilter, by_id, by_ref

QUERIES = Queries(__package__, spellings=spellings(":ref::text"))
_ARTIFACTS = "session_artifacts"


@dataclass(frozen=True, slots=True)
class Redaction:
    """Counts of a redaction, and the owners of the twins concerned."""

    counts: Mapping[str, int]
    """Rows removed or changed, by table."""
    owners: frozenset[UUID]
    sessions: frozenset[UUID] = frozenset()
    """The sessions in which they spoke."""


async def find(on: Statements, participant: Participant) -> ParticipantFilter:
    """Return what finds a participant.

    Raises:
        NotFoundError: no twin has this participant.
        InvalidStateError: a session's participant has a ref, which names them everywhere.
    """
    if not isinstance(participant, Guest):
        if not await on.fetchval(
            QUERIES["is_known_participant"], ref=participant.ref, kind=participant.kind
        ):
            raise NotFoundError("participant not found", kind=participant.kind)
        return by_ref(participant.ref, kind=participant.kind)
    rows = await on.fetch(QUERIES[f"guest_by_{participant.by}"], id=participant.id)
    row = the_only(rows, participant.by.removesuffix("_id"), participant.id)
    if row is None:
        raise NotFoundError("participant not found", field=participant.by, id=str(participant.id))
    if row["has_ref"]:
        raise InvalidStateError(
            "This participant has a ref: name them by kind and ref",
            field=participant.by,
            id=str(participant.id),
        )
    return by_id(row["id"])


async def redact(
    on: Statements,
    selected: ParticipantFilter,
    artifacts: Artifacts,
    *,
    keep_answers: bool,
    erasure: UUID,
) -> Redaction:
    """Redact the conversations of the selected participants, in the caller's transaction.

    Waits for concurrent writers that start a session with them or write to one; later writers
    find no participant, an ended session, or redacted turns.
    """
    owners, sessions = await _lock(on, selected)
    if not owners:
        return Redaction({}, owners)
    await on.fetchval(QUERIES["allow_erasure"])
    await _queue(on, selected, artifacts, erasure)
    counts: Counter[str] = Counter()
    for table in personal():
        for redacted in table.data.redacted:
            counts[table.name] += await _redact(on, table, redacted, selected, keep_answers)
    return Redaction(counts, owners, sessions)


async def _lock(
    on: Statements, selected: ParticipantFilter
) -> tuple[frozenset[UUID], frozenset[UUID]]:
    """Lock participants and sessions, and return the owners and the sessions.

    A writer of a turn locks the session, then the participant that the turn refers to. So
    participants are first locked against new sessions only, and against new turns once their
    sessions are locked. Whoever made one of theirs in between is waited for, and locked then.
    """
    await _in(on, "hold_owners_of", selected, selected.them)
    known = await _in(on, "hold_participants", selected, selected.them)
    if not known:
        return frozenset(), frozenset()
    sessions = selected.within(f"SELECT user_id, session_id FROM ({SPOKEN_IN}) AS spoken")
    await _in(on, "lock_sessions_of", selected, sessions)
    await _in(on, "lock_participants", selected, selected.them)
    locked = await _in(on, "lock_sessions_of", selected, sessions)
    return frozenset(row["user_id"] for row in known), frozenset(row["id"] for row in locked)


async def _queue(
    on: Statements, selected: ParticipantFilter, artifacts: Artifacts, erasure: UUID
) -> None:
    for redacted in TABLES[_ARTIFACTS].data.redacted:
        rows = await _in(on, "artifacts_redacted", selected, selected.within(redacted.found_by))
        await artifacts.queue_rows(on, rows, erasure=erasure)


async def _in(on: Statements, name: str, selected: ParticipantFilter, found_by: str) -> Any:
    return await on.fetch(QUERIES.variant(name, found_by=found_by), **selected.values)


async def _redact(
    on: Statements,
    table: Table,
    redacted: Redacted,
    selected: ParticipantFilter,
    keep_answers: bool,
) -> int:
    found_by = selected.within(redacted.found_by)
    if not redacted.sets:
        return await all_batches(on, erase_batch(table, found_by), **selected.values)
    query = redact_batch(table, found_by, redacted.sets)
    return await all_batches(on, query, **selected.values, keep_answers=keep_answers)
