"""Appending turns: callers of one session in one process share a statement.

Writers of one session wait for its row, on a connection each, and each waits for the disk after
the one before. Here the calls that arrive while a turn is being stored are stored together after
it, in one statement and one commit. A caller sees no difference: each gets its own turn, and if
the database refuses them together, each is sent alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID
from weakref import WeakValueDictionary

from asyncpg import Record

from digitwin.conversations.queries import for_session
from digitwin.errors import AlreadyExistsError
from digitwin.kernel.execution.batching import Batcher
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import Executor, Statements

MAX_TURNS = 100
"""Turns of one statement."""
KEPT = 1000
"""Sessions whose batcher is kept for their next turn."""
MAX_SHARED_TEXT = 10_000
"""Characters of a turn that shares a statement: a longer one would hold the others up."""
PATIENCE = 1.0
"""Seconds that a call waits at most for those before it. Less would have a busy process queue on
the row with several connections; more would be noticed when the row is locked for long."""

Key: TypeAlias = Mapping[str, Any]
"""``session_id``, and ``user_id``, which is None if the caller does not know it."""
Turn: TypeAlias = Mapping[str, Any]
"""The values of a new turn, as :func:`digitwin.conversations.turns.new_turn` returns them."""
Stored: TypeAlias = Record | None
"""A stored turn; None if the session is missing or has ended."""


class _Call(NamedTuple):
    db: Statements
    turn: Turn


class TurnAppends:
    """The calls of a handle that are appending turns outside transactions, in all its scopes.

    Sessions that were used last keep their batcher, which takes 4 us to make. A batcher in use is
    kept alive by its callers, so that all calls under way find the same.
    """

    def __init__(self, _: Core) -> None:
        self._sessions: WeakValueDictionary[Hashable, Batcher[_Call, Stored]] = (
            WeakValueDictionary()
        )
        self._kept: deque[object] = deque(maxlen=KEPT)

    def append(self, db: Executor, key: Key, turn: Turn) -> Awaitable[Stored]:
        """Append a turn, in one statement with others if a call of the session is under way."""
        if _length(turn) > MAX_SHARED_TEXT:
            return append_one(db, key, turn)
        session = db.sharing, key["user_id"], key["session_id"]
        batcher = self._sessions.get(session) or self._batcher(session, key)
        return batcher.ask(_Call(db, turn))

    def _batcher(self, session: Hashable, key: Key) -> Batcher[_Call, Stored]:
        batcher = self._sessions[session] = Batcher[_Call, Stored](
            partial(_append_alone, key),
            partial(_append_together, key),
            at_once=1,
            most=MAX_TURNS,
            patience=PATIENCE,
        )
        self._kept.append(batcher)
        return batcher


async def append_one(
    db: Statements,
    key: Key,
    turn: Turn,
    *,
    attempt: AbstractAsyncContextManager[Any] = nullcontext(),  # noqa: B008 - has no state
) -> Stored:
    """Append a turn by itself, or find the one that has its idempotency key.

    Args:
        attempt: around a statement that may fail: a savepoint, in a transaction.
    """
    if _is_plain(turn):
        return await db.fetchrow(for_session("add_turn", key["user_id"]), **key, **turn)
    query, record = for_session("add_turn_once", key["user_id"]), None
    try:
        async with attempt:
            record = await db.fetchrow(query, **key, **turn)
    except AlreadyExistsError as error:
        if error.details.get("field") != "idempotency_key":
            raise
    # While the first attempt waited for the session's row lock, the first turn may have been
    # committed and the session ended. The statement's snapshot was older; a new one sees both.
    return record or await db.fetchrow(query, **key, **turn)


async def _append_alone(key: Key, call: _Call) -> Stored:
    return await append_one(call.db, key, call.turn)


async def _append_together(key: Key, calls: Sequence[_Call]) -> Sequence[Stored]:
    """Append turns with one statement; of those with the same idempotency key the first.

    None of a turn, whose session has ended perhaps, has it sent alone, which tells.
    """
    distinct: dict[UUID | str, Turn] = {}
    for call in calls:
        distinct.setdefault(_name(call.turn), call.turn)
    turns = list(distinct.values())
    columns = {name: [turn[name] for turn in turns] for name in turns[0]}
    query = for_session("add_turns_once", key["user_id"])
    records = await calls[0].db.fetch(query, **key, **columns)
    stored = {_name(record): record for record in records}
    return [stored.get(_name(call.turn)) for call in calls]


def _is_plain(turn: Turn) -> bool:
    """Return whether a turn has none of the fields that few have."""
    return bool(_rare_values(turn) == _NONE)


_RARE = ("idempotency_key", "started_at", "ended_at", "participant_id", "language", "extra")
_rare_values = itemgetter(*_RARE)
_NONE = (None,) * len(_RARE)


def _name(turn: Turn | Record) -> UUID | str:
    """Return what tells a turn from others of its session: its idempotency key, or its id."""
    name: UUID | str = turn["idempotency_key"] or turn["id"]
    return name


def _length(turn: Turn) -> int:
    return (
        len(turn["user_text"] or "") + len(turn["twin_text"] or "") + len(turn["heard_text"] or "")
    )
