"""The framework's breakdown of how long the twin took to answer."""

from __future__ import annotations

import time
from typing import Any, Final

from pipecat.observers.user_bot_latency_observer import LatencyBreakdown, UserBotLatencyObserver

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.pipecat.turn import Turn, remember
from digitwin.integrations.pipecat.turns import Turns

TOLERANCE_MS: Final = 1000
"""The observer's queue makes its figures larger, on a busy machine."""


class Latency(UserBotLatencyObserver):
    """Stores the parts of each wait as an item of the turn that was answered.

    The framework tells a breakdown to a task, which may run when the next turn has begun: the
    time at which the participant fell silent says which answer it is about.
    """

    def __init__(self, recorder: TurnRecorder, turns: Turns) -> None:
        super().__init__()
        self._recorder = recorder
        self._turns = turns
        self._answered: dict[float | None, tuple[Turn | None, float | None]] = {}
        self._told: dict[float | None, LatencyBreakdown] = {}
        self.add_event_handler("on_latency_breakdown", self._breakdown)

    def answered(self, waited_ms: float | None) -> None:
        """The twin begins to speak: the breakdown that follows is about what it says.

        Args:
            waited_ms: since the participant fell silent, by a clock that does not jump.
        """
        began = self._user_turn_start_time

        def note(turn: Turn | None) -> None:
            remember(self._answered, began, (turn, waited_ms))
            self._join(began)

        self._turns.about(self._turns.answer, note)

    async def _breakdown(self, _: Any, breakdown: LatencyBreakdown) -> None:
        with self._recorder.guarding("latency"):
            began = breakdown.user_turn_start_time
            remember(self._told, began, breakdown)
            self._join(began)

    def _join(self, began: float | None) -> None:
        if began not in self._answered or began not in self._told:
            return
        (turn, waited_ms), breakdown = self._answered.pop(began), self._told.pop(began)
        parts: dict[str, int] = {}
        for part in breakdown.contributions:
            parts[part.key] = parts.get(part.key, 0) + round(part.duration_secs * 1000)
        if turn is None or not parts or not is_sound(breakdown, waited_ms):
            return
        self._recorder.item("custom", parts, name="latency", turn_id=turn.id)
        if breakdown.user_turn_secs is not None and "end_of_turn_ms" not in turn.measured:
            turn.measured.add("end_of_turn_ms")
            waited = breakdown.user_turn_secs * 1000
            self._recorder.stage("end_of_turn_ms", waited, turn_id=turn.id)


def is_sound(breakdown: LatencyBreakdown, waited_ms: float | None) -> bool:
    """Return whether a breakdown is about the wait that was measured beside it.

    The framework measures by the wall clock, which may jump; and what an interruption resets, it
    measures from the beginning of the call.
    """
    began = breakdown.user_turn_start_time
    if began is None or waited_ms is None:
        return began is None and waited_ms is None
    waited = breakdown.total_secs * 1000
    return began <= time.time() and abs(waited - waited_ms) <= TOLERANCE_MS
