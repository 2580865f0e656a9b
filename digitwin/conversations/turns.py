"""A turn as the named values of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from digitwin.conversations.fields import STAGES, TOKENS, NewTurn, TurnChanges
from digitwin.conversations.figures import NO_FIGURES, Figures
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps

_UNKNOWN: dict[str, Any] = dict.fromkeys((*STAGES, *TOKENS))


def new_turn(turn: NewTurn) -> dict[str, Any]:
    """Return the values of a new turn, with a new id.

    Raises:
        InvalidInputError: there is no text, a ``heard_text`` without a ``twin_text``, or an end
            before the start.
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


def columns_of(
    timings: Figures | None, usage: Figures | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the stages and counts by column, None if unknown, and what ``extra`` keeps."""
    if timings is None and usage is None:
        return _UNKNOWN, None
    given = (timings or NO_FIGURES), (usage or NO_FIGURES)
    columns = {**_UNKNOWN, **given[0].known, **given[1].known}
    return columns, {**given[0].extra, **given[1].extra} or None


def check_moments(started_at: datetime | None, ended_at: datetime | None) -> None:
    """Refuse a turn that ends before it begins.

    Raises:
        InvalidInputError: it does.
    """
    if started_at is not None and ended_at is not None and ended_at < started_at:
        raise InvalidInputError("ended_at is before started_at", field="ended_at")


def _values(turn: TurnChanges) -> dict[str, Any]:
    given = turn.get
    interrupted = given("interrupted")
    started_at, ended_at = turn.get("started_at"), turn.get("ended_at")
    check_moments(started_at, ended_at)
    # Validated to what they hold
    columns, extra = columns_of(given("timings"), given("usage"))  # type: ignore[arg-type]
    return {
        **columns,
        "user_text": given("user_text"),
        "twin_text": given("twin_text"),
        "heard_text": given("heard_text"),
        "started_at": started_at,
        "ended_at": ended_at,
        "participant_id": given("participant_id"),
        "language": given("language"),
        "extra": None if extra is None else dumps(extra),
        "status": None if interrupted is None else "interrupted" if interrupted else "completed",
    }
