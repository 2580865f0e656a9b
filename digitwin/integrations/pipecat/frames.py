"""What each frame means for the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMContextAssistantTurnFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSSpeakFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.pipecat import figures
from digitwin.integrations.pipecat.turns import Turns
from digitwin.integrations.texts import storable

Told = Callable[[str, str, str], None]
TOOL_ERROR = "Error executing function call"
"""How the error of a tool begins, which its result tells too."""


class Frames:
    """Takes frames in the order in which they were pushed.

    A frame that is broadcast goes both ways as two frames: the one downstream is taken.

    Args:
        assistant: the aggregator that writes what was heard to the context.
        told: called with role, timestamp and text of what the context is given.
    """

    def __init__(
        self, recorder: TurnRecorder, turns: Turns, assistant: FrameProcessor, told: Told
    ) -> None:
        self._recorder = recorder
        self._turns = turns
        self._assistant = assistant
        self._told = told
        self._silent_since: int | None = None
        self._is_generated = False
        """The answer comes as text of the model, not only as what was spoken."""

    def take(self, data: FramePushed) -> None:
        """Take in one push of a frame."""
        frame = data.frame
        if isinstance(frame, ErrorFrame):
            if data.first_push and not frame.error.startswith(TOOL_ERROR):
                source = {"source": data.source.name}
                self._recorder.item("custom", source, name="error", is_error=True)
            return
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        if data.first_push:
            self._take_first(frame, data)
        if data.destination is self._assistant:
            self._take_heard(frame)
        elif data.source is self._assistant and isinstance(frame, InterruptionFrame):
            self._turns.was_cut(frame.id)

    def _take_first(self, frame: Frame, data: FramePushed) -> None:
        if isinstance(frame, LLMTextFrame):
            self._is_generated = True
            self._turns.twin_said(frame.text)
        elif isinstance(frame, LLMContextUserTurnFrame):
            self._told("user", frame.timestamp, frame.text)
            self._turns.user_said(frame.text, frame.timestamp)
        elif isinstance(frame, LLMContextAssistantTurnFrame):
            self._told("assistant", frame.timestamp, frame.text)
            self._turns.committed(frame.text)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._is_generated = False
            self._turns.answer_begins()
        elif isinstance(frame, LLMFullResponseEndFrame):
            self._turns.answer_was_generated(frame.id)
        elif isinstance(frame, TTSSpeakFrame):
            self._is_generated = True
            self._turns.line_begins()
            self._turns.twin_said(frame.text)
        elif isinstance(frame, InterruptionFrame):
            self._turns.is_cut(frame.id)
        elif isinstance(frame, MetricsFrame):
            self._take_metrics(frame, data.source)
        else:
            self._take_speech(frame, data.timestamp)
            self._take_tool(frame)

    def _take_heard(self, frame: Frame) -> None:
        """Take what the aggregator is given, when it is heard."""
        if isinstance(frame, TTSTextFrame):
            if not self._is_generated:  # a realtime model speaks: its text is a transcript
                gap = "" if frame.includes_inter_frame_spaces else " "
                self._turns.twin_said(frame.text + gap)
            is_word = frame.text_type == TextType.WORD
            self._turns.heard_by("words" if is_word else "segments")
            if not frame.append_to_context:
                self._turns.was_heard(frame.text)
        elif isinstance(frame, LLMFullResponseEndFrame):
            self._turns.answer_ends(frame.id)

    def _take_speech(self, frame: Frame, timestamp: int) -> None:
        if isinstance(frame, BotStartedSpeakingFrame):
            if self._silent_since is not None:
                wait = (timestamp - self._silent_since) / 1e6
                self._silent_since = None
                if self._turns.turn_id is not None:
                    self._recorder.stage("first_audio_ms", wait, turn_id=self._turns.turn_id)
            self._turns.speaks()
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._turns.is_silent()
        elif isinstance(frame, UserStartedSpeakingFrame):
            self._turns.user_begins()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._silent_since = timestamp - int(frame.stop_secs * 1e9)

    def _take_tool(self, frame: Frame) -> None:
        if isinstance(frame, FunctionCallInProgressFrame):
            self._turns.tool_begins(frame.tool_call_id, frame.function_name, plain(frame.arguments))
        elif isinstance(frame, FunctionCallResultFrame):
            properties, error = frame.properties, frame.error
            asked = frame.run_llm if properties is None else properties.run_llm
            runs = bool(frame.result) and asked is not False
            self._turns.tool_ends(
                frame.tool_call_id,
                frame.function_name,
                plain(frame.result if error is None else error),
                is_error=error is not None,
                is_final=properties is None or properties.is_final,
                asks=runs,
            )
        elif isinstance(frame, FunctionCallCancelFrame):
            self._turns.tool_ends(
                frame.tool_call_id,
                frame.function_name,
                "timed out" if frame.run_llm else "cancelled",
                is_error=True,
                is_final=True,
                asks=frame.run_llm,
            )

    def _take_metrics(self, frame: MetricsFrame, source: FrameProcessor) -> None:
        for data in frame.data:
            measured, used = figures.stage(data, source), figures.usage(data)
            if measured is not None and self._turns.turn_id is not None:
                self._recorder.stage(*measured, turn_id=self._turns.turn_id)
            if used is not None:
                kind, counts = used
                self._recorder.usage(
                    kind=kind,
                    provider=storable(data.processor.split("#")[0])[:100],
                    model=data.model and storable(data.model)[:200],
                    turn_id=self._turns.turn_id,
                    **counts,
                )


def plain(value: Any) -> Any:
    """Return a value as JSON that PostgreSQL can store; what JSON does not know, as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {storable(str(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return storable(str(value))
