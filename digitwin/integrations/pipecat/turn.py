"""A turn, an answer of the twin, which may not have its turn yet, and notes that wait for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar
from uuid import UUID

from digitwin.conversations.recorder.recorder import TurnRecorder

HeardBasis = Literal["words", "segments", "generated"]
"""How it is known what was heard: by spoken words, by spoken sentences, or only what was
generated."""

REMEMBERED: Final = 20
"""Interruptions and answers on their way that are kept."""
WAITING: Final = 200
"""Notes that wait for their turn."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class Turn:
    """What the participant said, and what the twin answered."""

    id: UUID
    timestamp: str | None = None
    """Of the framework's user turn; None: the twin began."""
    has_said: bool = False
    has_tools: bool = False
    is_done: bool = False
    awaits_words: bool = False
    """The twin answers words that are still being transcribed, as a realtime model does."""
    is_cut: bool = False
    length: int = 0
    """Characters of what the twin said."""
    heard: list[str] = field(default_factory=list)
    measured: set[str] = field(default_factory=set)
    """Stages of which the first figure is known."""


Note = Callable[[Turn | None], None]
"""Records something about a turn; None: about none."""


@dataclass(slots=True, eq=False)
class Answer:
    """A response of the model, or a line. One that opens a turn has none until it says a word."""

    turn: Turn | None = None
    has_said: bool = False
    notes: list[Note] = field(default_factory=list)
    """What waits until it has a turn."""


def note_about(turn: Turn | None, waiting: list[Note], note: Note) -> None:
    """Record something about a turn, or let it wait until there is one."""
    if turn is not None or len(waiting) >= WAITING:
        note(turn)
    else:
        waiting.append(note)


def flush(recorder: TurnRecorder, waiting: list[Note], turn: Turn | None) -> None:
    """Record what has waited."""
    notes = waiting[:]
    waiting.clear()
    for note in notes:
        with recorder.guarding("note"):
            note(turn)


def remember(known: dict[K, V], key: K, value: V, limit: int = REMEMBERED) -> None:
    """Keep a value, and of all of them the latest."""
    known[key] = value
    if len(known) > limit:
        del known[next(iter(known))]
