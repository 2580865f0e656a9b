"""What one write to a session carries: turns, items, usage and sources, as plain values.

They are validated by then. What is None is kept, or not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from digitwin.kernel.primitives.ids import uuid7

Figures = Mapping[str, int | None]
"""Values of a turn's columns, by name."""
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWrite:
    """What happens to a turn; several of one turn are merged, in their order.

    Args:
        opens: the turn begins, unless it exists. ``started_at``, ``idempotency_key`` and a status
            from the start belong to this alone.
        user_text: appended to what was said, as ``twin_text``; ``heard_text`` replaces.
        status: what it becomes. A completed turn cannot become interrupted, nor the reverse, and
            keeps its status.
        extra: merged with the stored one, up to a bound.
        strict: store nothing of this turn, rather than a part, if its status cannot follow or a
            text would become too long; else the status is kept and the text is cut.
        corrects: ``status`` and ``heard_text`` are what they should have been: any status can
            follow, a ``heard_text`` of None clears it, and an open turn has no end.
    """

    turn_id: UUID
    opens: bool = False
    strict: bool = False
    corrects: bool = False
    user_text: str | None = None
    twin_text: str | None = None
    heard_text: str | None = None
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    participant_id: UUID | None = None
    language: str | None = None
    timings: Figures = field(default_factory=dict)
    usage: Figures = field(default_factory=dict)
    extra: Mapping[str, Any] | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWrite:
    """A part of a conversation, of a turn or of the session alone.

    Args:
        item_id: the caller's own id; a second item with it is not stored.
    """

    kind: str
    turn_id: UUID | None = None
    item_id: str | None = None
    call_id: str | None = None
    name: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    is_error: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWrite:
    """What a request cost; a second one of its kind with this ``request_id`` is not stored."""

    kind: str
    turn_id: UUID | None = None
    provider: str | None = None
    model: str | None = None
    request_id: str | None = None
    figures: Figures = field(default_factory=dict)
    """By column: ``input_tokens``, ``characters`` and the others of ``usage_records``."""
    extra: Mapping[str, Any] | None = None
    used_at: datetime | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWrite:
    """A passage of a document that a turn's answer used."""

    turn_id: UUID
    document_id: UUID | None = None
    passage: str | None = None
    score: float | None = None
    quote: str | None = None
    id: UUID = field(default_factory=uuid7)


def merged(writes: tuple[TurnWrite, ...]) -> list[TurnWrite]:
    """Merge the writes of each turn; turns stay in the order of their first write.

    The status, the end and the figures are those of the last write that has them.
    """
    by_turn: dict[UUID, TurnWrite] = {}
    for write in writes:
        known = by_turn.get(write.turn_id)
        by_turn[write.turn_id] = write if known is None else _merge(known, write)
    return list(by_turn.values())


def _merge(first: TurnWrite, then: TurnWrite) -> TurnWrite:
    latest = {
        name: getattr(first, name) if getattr(then, name) is None else getattr(then, name)
        for name in _LATEST
    }
    if then.corrects:
        latest["heard_text"] = then.heard_text
        latest["ended_at"] = None if then.status == "open" else latest["ended_at"]
    return TurnWrite(
        turn_id=first.turn_id,
        opens=first.opens or then.opens,
        strict=first.strict or then.strict,
        corrects=first.corrects or then.corrects,
        user_text=_joined(first.user_text, then.user_text),
        twin_text=_joined(first.twin_text, then.twin_text),
        timings=_over(first.timings, then.timings),
        usage=_over(first.usage, then.usage),
        extra={**(first.extra or NOTHING), **(then.extra or NOTHING)} or None,
        **latest,
    )


_LATEST = (
    "heard_text",
    "status",
    "started_at",
    "ended_at",
    "participant_id",
    "language",
    "idempotency_key",
)


def _joined(first: str | None, then: str | None) -> str | None:
    return then if first is None else first if then is None else first + then


def _over(first: Figures, then: Figures) -> dict[str, int | None]:
    return {**first, **{name: value for name, value in then.items() if value is not None}}
