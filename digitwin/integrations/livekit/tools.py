"""The tools of an agent: their calls, and what they answered."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from uuid import UUID

from livekit.agents import FunctionToolsExecutedEvent
from livekit.agents.llm import FunctionCall
from livekit.agents.voice.events import (
    ToolCallEnded,
    ToolCallStarted,
    ToolExecutionUpdatedEvent,
)

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.fitting import Fitting
from digitwin.integrations.livekit.speeches import Speeches, own_speech

REMEMBERED: Final = 1000
"""Calls that can still have a result."""
UNNAMED: Final = "tool"
"""The name of a tool whose name is empty."""


class Tools:
    """The tools of one call, told to its recorder.

    Args:
        recorder: of the call.
        speeches: which turn their calls belong to.
    """

    def __init__(self, recorder: TurnRecorder, speeches: Speeches) -> None:
        self._recorder = recorder
        self._speeches = speeches
        self._fitting = Fitting(recorder)
        self._started: OrderedDict[str, str] = OrderedDict()
        """Calls without an answer, and the names of their tools."""
        self._answered: OrderedDict[str, str] = OrderedDict()
        """Those with a first answer, after which another one may come."""

    def updated(self, event: ToolExecutionUpdatedEvent) -> None:
        """Note that a tool was started, or has said its last word."""
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._called(update.function_call)
        elif isinstance(update, ToolCallEnded) and update.id != update.call_id:
            # The last word of a tool that went on after its first answer
            self._recorder.tool_result(
                self._fitting.name(update.call_id) or UNNAMED,
                None if update.message is None else self._fitting.result(update.message),
                is_error=update.status != "done",
                name=self._answered.pop(update.call_id, None),
                turn_id=self._turn_id(),
            )

    def executed(self, event: FunctionToolsExecutedEvent) -> None:
        """Note what tools answered, in the order of their calls."""
        turn = self._speeches.turn_of(own_speech())
        if turn is not None and event.has_agent_handoff:
            turn.is_handing_over = True
        for call, output in event.zipped():
            with self._recorder.guarding("function_tools_executed"):
                if call.call_id not in self._started:  # refused before it was started
                    self._called(call)
                _remember(self._answered, call.call_id, self._started.pop(call.call_id))
                self._recorder.tool_result(
                    self._fitting.name(output.call_id) or UNNAMED,
                    self._fitting.result(output.output),
                    is_error=output.is_error,
                    name=self._fitting.name(output.name),
                    item_id=self._fitting.name(output.id),
                )

    def _called(self, call: FunctionCall) -> None:
        turn = self._speeches.turn_of(own_speech())
        if turn is not None:
            turn.has_tools = True
        name = self._fitting.name(call.name) or UNNAMED
        _remember(self._started, call.call_id, name)
        self._recorder.tool_call(
            name,
            self._fitting.arguments(call.arguments),
            call_id=self._fitting.name(call.call_id) or UNNAMED,
            item_id=self._fitting.name(call.id),
            turn_id=None if turn is None else turn.id,
        )

    def _turn_id(self) -> UUID | None:
        turn = self._speeches.turn_of(own_speech())
        return None if turn is None else turn.id


def _remember(calls: OrderedDict[str, str], call_id: str, name: str) -> None:
    calls[call_id] = name
    if len(calls) > REMEMBERED:
        calls.popitem(last=False)
