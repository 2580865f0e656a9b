"""The one statement that writes to a session: whatever it carries, all of it or nothing.

It is put together from steps, of which those that carry nothing are left out; each combination is
compiled once. Values travel as JSON, one parameter for each kind, so that a statement takes any
number of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import Record

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.living.writes import (
    NOTHING,
    ItemWrite,
    SourceWrite,
    TurnWrite,
    UsageWrite,
    merged,
)
from digitwin.conversations.queries import ACCEPTING, KNOWN_OWNER, MAX_EXTRA_SIZE, OWNER
from digitwin.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.sql.queries import Queries, Query, filled, load

_FILLS = {
    "owner": OWNER,
    "accepting": ACCEPTING,
    "max_text": str(MAX_TEXT),
    "max_extra": str(MAX_EXTRA_SIZE),
}
QUERIES = Queries(__package__, **_FILLS)
_WHOLE, _NO_WHOLE = "{columns of conversation_turns}", "{nulls of conversation_turns}"
_BRIEF = "id, updated_at, {fullness} AS is_full"
_NO_BRIEF = "NULL::uuid AS id, NULL::timestamptz AS updated_at, NULL::boolean AS is_full"
"""A recorder needs to know no more of its turns: their texts may be long by now."""
_MOST = (1, 4, 16, 256)
"""How many turns the planner may expect: a few plans in place of one for each number."""


async def write(
    db: Statements,
    key: Mapping[str, Any],
    *,
    turns: Sequence[TurnWrite] = (),
    items: Sequence[ItemWrite] = (),
    usage: Sequence[UsageWrite] = (),
    sources: Sequence[SourceWrite] = (),
    writer: UUID | None = None,
    sequence: int = 0,
    once: bool = True,
    brief: bool = False,
    attempt: AbstractAsyncContextManager[Any] | None = None,
) -> list[Record]:
    """Write to a session; one statement, atomic, safe from any number of writers.

    What belongs to a turn is stored if the turn is: if it is missing, or refuses the write (see
    ``strict``), its record is not among those returned, and nothing of it was stored.

    Args:
        key: ``session_id``, ``user_id`` (None: unknown) and ``late_turns``, as
            ``TurnLog._session_key`` returns them.
        turns: at most 256 turns.
        writer: a recorder's id: of its writes each ``sequence``, from 1 and increasing, is stored
            once; of a repeated one the turns are returned as they are.
        once: a turn that opens may exist already, and is returned as it is. False saves the
            look-up where the ids were made for this call.
        brief: the records contain only ``id``, ``updated_at``, and ``is_full``: whether a text is
            as long as it may be, so that a part may have been cut.
        attempt: around a statement that may fail: a savepoint, in a transaction.

    Returns:
        The records of the turns as they are now, in no order, with the columns of the table.

    Raises:
        NotFoundError: the session does not exist, or not for this owner; or names
            ``participant_id`` or ``document_id``.
        InvalidStateError: the session has ended, more than ``late_turns`` seconds ago.
        AlreadyExistsError: a turn's id belongs to another session.
        InvalidInputError: a ``heard_text`` without a ``twin_text``.
    """
    several = merged((*turns, *_mentioned(turns, items, usage, sources)))
    opening = [turn for turn in several if turn.opens]
    extending = sorted((t for t in several if not t.opens), key=lambda turn: turn.turn_id.int)
    query = statement(
        Shape(
            known_owner=key["user_id"] is not None,
            opens=bool(opening),
            once=once and writer is None,
            extends=next((most for most in _MOST if most >= len(extending)), _MOST[-1])
            if extending
            else 0,
            retells=any(_retells(turn) for turn in extending),
            items=bool(items),
            usage=bool(usage),
            sources=bool(sources),
            fenced=writer is not None,
            brief=brief,
        )
    )
    values = {
        **key,
        "opening": _json(_turn(n, turn) for n, turn in enumerate(opening)),
        "extending": _json(_turn(n, turn) for n, turn in enumerate(extending)),
        "items": _json(_item(n, item) for n, item in enumerate(items, 1)),
        "item_count": len(items),
        "more": bool(extending or items or usage or sources),
        "usage": _json(_usage(record) for record in usage),
        "sources": _json(map(_fields, sources)),
        "writer": writer,
        "sequence": sequence,
    }
    try:
        async with attempt or nullcontext():
            records = await db.fetch(query, **values)
    except AlreadyExistsError:
        if not (once and opening):
            raise
        # Another call stores the same turn meanwhile: it is committed now, and found
        records = await db.fetch(query, **values)
    found = [record for record in records if record["id"] is not None]
    is_stored = len(found) < len(records) or (len(found) == len(several) and not values["more"])
    if not is_stored:
        return await _not_written(db, key, several, writer, sequence)
    return found


async def _not_written(
    db: Statements,
    key: Mapping[str, Any],
    turns: Sequence[TurnWrite],
    writer: UUID | None,
    sequence: int,
) -> list[Record]:
    """Return the turns of a write that was stored before, or raise why nothing was."""
    standing = await db.fetchrow(for_key("standing", key), **key, writer=writer)
    session_id = str(key["session_id"])
    if standing is None:
        raise NotFoundError("session not found", field="session_id", id=session_id)
    if writer is not None and (standing["sequence"] or 0) >= sequence:
        turn_ids = [turn.turn_id for turn in turns]
        return await db.fetch(for_key("turns_now", key), **key, turn_ids=turn_ids)
    # It may accept turns again by now: the statement found that it does not
    raise InvalidStateError("The session has ended", id=session_id, status=standing["status"])


def _mentioned(
    turns: Sequence[TurnWrite],
    items: Sequence[ItemWrite],
    usage: Sequence[UsageWrite],
    sources: Sequence[SourceWrite],
) -> list[TurnWrite]:
    """Return an empty write for each other turn that items, usage or sources belong to.

    It finds out whether the turn exists, and is a sign of life.
    """
    written = {turn.turn_id for turn in turns}
    rows: tuple[ItemWrite | UsageWrite | SourceWrite, ...] = (*items, *usage, *sources)
    named = dict.fromkeys(row.turn_id for row in rows)
    return [TurnWrite(turn_id=id) for id in named if id is not None and id not in written]


def _retells(turn: TurnWrite) -> bool:
    """Whether a change is of what a turn says, which the search has indexed."""
    return (
        bool(turn.user_text or turn.twin_text or turn.language or turn.corrects)
        or turn.heard_text is not None
    )


class Shape(NamedTuple):
    known_owner: bool
    opens: bool
    once: bool
    extends: int
    retells: bool
    items: bool
    usage: bool
    sources: bool
    fenced: bool
    brief: bool


@cache
def statement(shape: Shape) -> Query:
    """Return the statement with the steps for what it carries."""
    counts = shape.opens or shape.items
    refers = shape.fenced or shape.usage or shape.sources or shape.retells
    marks = shape.retells and not counts
    turns = ["existing"] if shape.opens and shape.once else []
    turns += ["opened"] if shape.opens else []
    turns += ["extended"] if shape.extends else []
    fills = {
        "owner": KNOWN_OWNER if shape.known_owner else OWNER,
        "most": str(shape.extends),
        "lock": "FOR NO KEY UPDATE" if counts else "FOR KEY SHARE" if refers else "",
        "unindexed_to": "indexed_to = least(indexed_to, ({first_retold}) - 1), "
        if shape.retells
        else "",
        "after_unindexed": " AND (SELECT count(*) FROM unindexed) >= 0" if marks else "",
        "unless_stored": "AND EXISTS (SELECT 1 FROM fence)" if shape.fenced else "",
        "ids": " UNION ALL ".join(f"SELECT id FROM {step}" for step in turns)
        or "SELECT NULL::uuid AS id WHERE false",
    }
    steps = [
        *_session_steps(shape, counts=counts),
        *(["opened"] if shape.opens else []),
        *(["unindexed"] if marks else []),
        *(["extended"] if shape.extends else []),
        *(["touched"] if shape.items or shape.usage or shape.sources else []),
        *(name for name in ("items", "usage", "sources") if getattr(shape, name)),
    ]
    return QUERIES.variant(
        "write",
        steps=", ".join(_text(step, fills) for step in steps),
        turns=" ".join(
            _filled(f"SELECT {_BRIEF if shape.brief else _WHOLE} FROM {step} UNION ALL")
            for step in turns
        ),
        nothing=_filled(_NO_BRIEF if shape.brief else _NO_WHOLE) if turns else "NULL::uuid AS id",
    )


def _session_steps(shape: Shape, *, counts: bool) -> list[str]:
    fence = ["fence"] if shape.fenced else []
    if not counts:
        return [*fence, "session_fenced"] if fence else ["session_read"]
    opening = "opening_nothing"
    if shape.opens:
        opening = "opening" if shape.once else "opening_new"
    return [opening, *fence, "session_counted"]


def _text(name: str, fills: Mapping[str, str]) -> str:
    return _filled(load(__package__ or "")[name], fills)


def _filled(text: str, fills: Mapping[str, str] = NOTHING) -> str:
    return filled(text, {**load(__package__ or ""), **_FILLS, **fills})


def for_key(name: str, key: Mapping[str, Any]) -> Query:
    """Return a query on one session, in the variant for a known or an unknown owner."""
    known = key["user_id"] is not None
    return QUERIES.variant(name, owner=KNOWN_OWNER) if known else QUERIES[name]


def _turn(n: int, turn: TurnWrite) -> dict[str, Any]:
    return {
        "n": n,
        "turn_id": turn.turn_id,
        "strict": turn.strict or None,
        "corrects": turn.corrects or None,
        "user_text": turn.user_text or None,
        "twin_text": turn.twin_text or None,
        "heard_text": turn.heard_text,
        "status": turn.status,
        "started_at": turn.started_at,
        "ended_at": turn.ended_at,
        "participant_id": turn.participant_id,
        "language": turn.language,
        **turn.timings,
        **turn.usage,
        "extra": turn.extra or None,
        "idempotency_key": turn.idempotency_key,
    }


def _item(n: int, item: ItemWrite) -> dict[str, Any]:
    return {"n": n, **_fields(item)}


def _usage(record: UsageWrite) -> dict[str, Any]:
    fields = _fields(record)
    return {**fields.pop("figures"), **fields}


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    """Encode rows without what is None; JSON has neither ids nor times."""
    return dumps(
        [{name: _plain(value) for name, value in row.items() if value is not None} for row in rows]
    )


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):  # the driver's ids are of a subclass
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
