"""A turn as a row: checked as a whole, laid out for a statement."""

from __future__ import annotations

from typing import Any, cast

from digitwin.conversations.fields import STAGES, TOKENS, NewTurn, TurnChanges
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7


def written(turn: TurnChanges) -> list[Any]:
    """Texts, status, stages and tokens in the order of the statements; None where not given."""
    interrupted = turn.get("interrupted")
    status = None if interrupted is None else "interrupted" if interrupted else "completed"
    timings = cast(dict[str, int], turn.get("timings") or {})
    usage = cast(dict[str, int], turn.get("usage") or {})
    return [
        turn.get("user_text"),
        turn.get("twin_text"),
        turn.get("heard_text"),
        status,
        *map(timings.get, STAGES),
        *map(usage.get, TOKENS),
    ]


def row(turn: NewTurn) -> list[Any]:
    """A new turn's parameters, its id first and its idempotency key last.

    Raises:
        InvalidInputError: nobody said anything, or something was heard that nobody said.
    """
    user_text, twin_text, heard_text, status, *figures = written(turn)
    if user_text is None and twin_text is None:
        raise InvalidInputError("user_text, twin_text or both must be there", field="user_text")
    if heard_text is not None and twin_text is None:
        raise unsaid()
    key = turn.get("idempotency_key")
    return [uuid7(), user_text, twin_text, heard_text, status or "completed", *figures, key]


def unsaid() -> InvalidInputError:
    """Something was heard that the twin did not say."""
    return InvalidInputError(
        "heard_text is what was heard of twin_text, and there is none", field="heard_text"
    )


def columns_of(turns: list[NewTurn], field: str) -> list[list[Any]]:
    """Turns as one array for each parameter, for ``unnest``; ``field`` is what a refusal names."""
    rows = []
    for n, turn in enumerate(turns):
        try:
            rows.append(row(turn))
        except InvalidInputError as error:
            raise InvalidInputError(f"{field}[{n}]: {error.message}", field=field) from None
    return [list(column) for column in zip(*rows, strict=True)]


def nothing_given(changes: TurnChanges) -> bool:
    """Whether these changes change nothing."""
    return all(value is None for value in written(changes))
