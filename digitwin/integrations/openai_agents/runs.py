"""Which turns a run of an agent writes, so that two runs on one session do not mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

from digitwin.models import ConversationTurn

MOST: Final = 1000
"""Turns of one run that come last."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, and how long its texts are."""

    id: UUID
    user_length: int
    twin_length: int

    @classmethod
    def of(cls, turn: ConversationTurn) -> Turn:
        """Return what is known of a turn that was just written."""
        return cls(turn.id, len(turn.user_text or ""), len(turn.twin_text or ""))


@dataclass(slots=True)
class Run:
    """The turns of one run.

    Args:
        own: their ids, in the order in which they began.
        turn: the last one, if its texts are known.
    """

    own: list[UUID] = field(default_factory=list)
    turn: Turn | None = None

    def leave(self) -> None:
        """Go on with a new turn."""
        self.turn = None
        self.own = self.own[:-1]


class Runs:
    """The runs on a session, by the context that the SDK hands to each call of a run.

    Calls without one are the service's own: they go on with whatever turn was written last.
    """

    def __init__(self) -> None:
        self._by_context: WeakKeyDictionary[Any, Run] = WeakKeyDictionary()
        self._last = Run()

    def of(self, context: Any) -> Run:
        """Return the run of a context."""
        return self._last if context is None else self._by_context.setdefault(context, Run())

    def own(self, context: Any) -> list[UUID]:
        """Return the turns that come last for a run; the newest, if there are very many."""
        return [] if context is None else self.of(context).own[-MOST:]

    def wrote(self, run: Run, turns: Sequence[Turn]) -> None:
        """Note where a run is."""
        run.own += [turn.id for turn in turns if turn.id not in run.own]
        run.turn = turns[-1]
        self._last.own, self._last.turn = [turns[-1].id], turns[-1]

    def changed(self, turn_id: UUID | None) -> None:
        """Forget how long the texts of a turn are."""
        for run in (self._last, *self._by_context.values()):
            if run.turn is not None and run.turn.id == turn_id:
                run.turn = None

    def clear(self) -> None:
        """Forget all turns: the session is gone."""
        for run in (self._last, *self._by_context.values()):
            run.own, run.turn = [], None
