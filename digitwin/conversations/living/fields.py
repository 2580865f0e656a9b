"""Input types of turns as they live."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.fields import (
    MAX_TEXT,
    HeardText,
    IdempotencyKey,
    TurnDescription,
)
from digitwin.kernel.primitives.validation import DEFERRED, STRICT, AwareDatetime, text

ClosedStatus = Literal["completed", "interrupted", "abandoned"]
TextPart = Annotated[str, text(MAX_TEXT)]
"""What is appended to a text; an empty one changes nothing."""


class _Said(TypedDict, total=False):
    user_text: TextPart | None
    twin_text: TextPart | None
    heard_text: HeardText | None


@with_config(STRICT)
class OpenedTurn(_Said, TurnDescription, total=False):
    """Fields of ``open_turn``; what is left out is not known yet.

    ``idempotency_key`` is stored with the turn, and a repeated call returns it. ``started_at`` is
    the clock's unless given.
    """

    idempotency_key: IdempotencyKey | None
    started_at: AwareDatetime | None


@with_config(STRICT)
class TurnExtension(_Said, TurnDescription, total=False):
    """Fields of ``extend_turn``.

    ``user_text`` and ``twin_text`` are appended, up to 100,000 characters in all; the other fields
    replace what is stored. ``timings`` and ``usage`` are merged key by key.
    """


@with_config(STRICT)
class TurnClosing(_Said, TurnDescription, total=False):
    """Fields of ``close_turn``: those of :class:`TurnExtension`, and ``ended_at``, the clock's
    unless given."""

    ended_at: AwareDatetime | None


OPENED = TypeAdapter(OpenedTurn)
EXTENSION = TypeAdapter(TurnExtension)
CLOSING = TypeAdapter(TurnClosing)
STATUS: TypeAdapter[ClosedStatus] = TypeAdapter(ClosedStatus, config=DEFERRED)
