"""Tools that the model calls, each in the turn of the answer that calls it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.errors import InvalidInputError
from digitwin.integrations.fitting import MAX_NAME, one_line
from digitwin.integrations.pipecat.turn import Answer, Turn, remember
from digitwin.integrations.pipecat.turns import Turns
from digitwin.integrations.texts import storable

REMEMBERED: Final = 1000
"""Calls without a result that are kept."""
MAX_DEPTH: Final = 60
"""Nesting of a payload; what is deeper is kept as its text."""
MAX_INTEGER: Final = 2**63 - 1


@dataclass(slots=True, eq=False)
class Call:
    """A tool call that has no result yet."""

    answer: Answer | None
    name: str
    keeps_turn: bool
    """The model waits for it, so that its turn goes on."""


class Tools:
    """Tells a recorder of tool calls and what became of them."""

    def __init__(self, recorder: TurnRecorder, turns: Turns) -> None:
        self._recorder = recorder
        self._turns = turns
        self._calls: dict[str, Call] = {}
        turns.waits_for_tools = self._keep

    def begins(self, call_id: str, name: str, arguments: Any) -> None:
        """A tool is called; it may run later, or never."""
        call_id, name = label(call_id), label(name)
        if call_id in self._calls:
            return
        call = Call(self._turns.answer, name, keeps_turn=True)
        remember(self._calls, call_id, call, REMEMBERED)
        given = plain(arguments)

        def note(turn: Turn | None) -> None:
            turn_id = None
            if turn is not None:
                turn.has_tools, turn_id = True, turn.id
            try:
                self._recorder.tool_call(name, given, call_id=call_id, turn_id=turn_id)
            except InvalidInputError:  # too large: that it was called is kept
                self._recorder.tool_call(name, call_id=call_id, turn_id=turn_id)
                raise

        self._turns.about(call.answer, note)

    def runs(self, call_id: str, *, keeps_turn: bool) -> None:
        """A tool has begun; without ``keeps_turn`` the conversation goes on without it."""
        with suppress(KeyError):
            self._calls[label(call_id)].keeps_turn = keeps_turn

    def ends(
        self, call_id: str, name: str, result: Any, *, is_error: bool, is_final: bool, asks: bool
    ) -> None:
        """A tool has answered; ``asks``: the model is run with it."""
        call_id, name = label(call_id), label(name)
        call = self._calls.get(call_id) or Call(self._turns.answer, name, keeps_turn=False)
        if is_final:
            self._calls.pop(call_id, None)
        given = plain(result)

        def note(turn: Turn | None) -> None:
            turn_id = None if turn is None else turn.id
            labels: Any = {"is_error": is_error, "name": name, "turn_id": turn_id}
            try:
                self._recorder.tool_result(call_id, given, **labels)
            except InvalidInputError:  # too large: that it answered is kept
                self._recorder.tool_result(call_id, **labels)
                raise

        self._turns.about(call.answer, note)
        turn = self._turns.turn if call.answer is None else call.answer.turn
        if asks and turn is self._turns.turn:
            self._turns.owes_answer = True

    def _keep(self, turn: Turn) -> bool:
        """Return whether a turn goes on, since the model waits for a tool that it called."""
        return any(
            call.keeps_turn and call.answer is not None and call.answer.turn is turn
            for call in self._calls.values()
        )


def label(text: str) -> str:
    """Return a name as it is stored, cut to what fits."""
    return one_line(str(text))[:MAX_NAME].rstrip() or "unnamed"


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON that PostgreSQL can store; what JSON does not know, as its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {storable(str(name)): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        return [plain(item, depth + 1) for item in value]
    return storable(str(value))
