"""A turn as the named values of a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from digitwin.conversations.fields import STAGES, TOKENS, NewTurn, TurnChanges
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7

_NOT_MEASURED = dict.fromkeys((*STAGES, *TOKENS))


def new_turn(turn: NewTurn) -> dict[str, Any]:
    """Return the values of a new turn, with a new id.

    Raises:
        InvalidInputError: there is no text, or a ``heard_text`` without a ``twin_text``.
    """
    values = _values(turn)
    if values["twin_text"] is None:
        if values["user_text"] is None:
            raise InvalidInputError("user_text or twin_text is required", field="user_text")
        if values["heard_text"] is not None:
            raise heard_without_twin_text()
    values["status"] = values["status"] or "completed"
    values["id"] = uuid7()
    values["idempotency_key"] = turn.get("idempotency_key")
    return values


def new_turns(turns: Sequence[NewTurn], field: str) -> dict[str, list[Any]]:
    """Return the values of new turns as one list per column, for ``unnest``.

    Raises:
        InvalidInputError: as :func:`new_turn`; names ``field`` and the turn's index.
    """
    rows = []
    for n, turn in enumerate(turns):
        try:
            rows.append(new_turn(turn))
        except InvalidInputError as error:
            raise InvalidInputError(f"{field}[{n}]: {error.message}", field=field) from None
    return {name: [row[name] for row in rows] for name in rows[0]}


def amendment(changes: TurnChanges) -> dict[str, Any]:
    """Return the values of changes to a turn; None keeps what is stored.

    Raises:
        InvalidInputError: nothing would change.
    """
    values = _values(changes)
    if all(value is None for value in values.values()):
        raise InvalidInputError("no changes were given", field="changes")
    return values


def heard_without_twin_text() -> InvalidInputError:
    """The error for a ``heard_text`` on a turn in which the twin said nothing."""
    return InvalidInputError("heard_text requires a twin_text", field="heard_text")


def _values(turn: TurnChanges) -> dict[str, Any]:
    interrupted = turn.get("interrupted")
    timings: Mapping[str, Any] = turn.get("timings") or {}
    usage: Mapping[str, Any] = turn.get("usage") or {}
    return {
        **_NOT_MEASURED,
        **timings,
        **usage,
        "user_text": turn.get("user_text"),
        "twin_text": turn.get("twin_text"),
        "heard_text": turn.get("heard_text"),
        "status": None if interrupted is None else "interrupted" if interrupted else "completed",
    }
