"""What each frame means for the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMContextAssistantTurnFrame,
    LLMContextUserTurnFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMServiceMetadataFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSSpeakFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FrameProcessed, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.services.llm_service import LLMService
from pipecat.utils.text.base_text_aggregator import TextType

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.pipecat.figures import Figures
from digitwin.integrations.pipecat.latency import Latency
from digitwin.integrations.pipecat.tools import Tools, label
from digitwin.integrations.pipecat.turn import HeardBasis
from digitwin.integrations.pipecat.turns import Turns

Told = Callable[[str, str, str], None]
TOOL_ERROR: Final = "Error executing function call"
"""How the error of a tool begins, which its result tells too."""


class Frames:
    """Takes frames in the order in which they were pushed.

    A frame that is broadcast goes both ways as two frames: the one downstream is taken.

    Args:
        assistant: the aggregator that writes what was heard to the context.
        told: called with role, timestamp and text of what the context is given.
    """

    def __init__(
        self,
        recorder: TurnRecorder,
        turns: Turns,
        latency: Latency,
        assistant: FrameProcessor,
        told: Told,
    ) -> None:
        self._recorder = recorder
        self._turns = turns
        self._tools = Tools(recorder, turns)
        self._figures = Figures(recorder, turns)
        self._latency = latency
        self._assistant = assistant
        self._told = told
        self._silent_since: int | None = None
        self._is_generated = False
        """The answer comes as text of the model, not only as what a realtime model speaks."""

    def take(self, data: FramePushed) -> None:
        """Take in one push of a frame."""
        frame = data.frame
        if isinstance(frame, ErrorFrame):
            if data.first_push and not frame.error.startswith(TOOL_ERROR):
                self._take_error(frame, data.source)
            return
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        if data.first_push:
            self._take_first(frame, data)
        if data.source is self._assistant and isinstance(frame, InterruptionFrame):
            self._turns.was_cut(frame.id)

    def _take_first(self, frame: Frame, data: FramePushed) -> None:
        if isinstance(frame, LLMTextFrame):
            self._is_generated = True
            self._turns.twin_said(frame.text)
        elif isinstance(frame, TTSTextFrame):
            self._turns.basis = basis(frame, data.source)
            if self._turns.basis == "generated" and not self._is_generated:
                gap = "" if frame.includes_inter_frame_spaces else " "
                self._turns.twin_said(frame.text + gap)
        elif isinstance(frame, LLMContextUserTurnFrame):
            self._told("user", frame.timestamp, frame.text)
            self._turns.user_said(frame.text, frame.timestamp)
        elif isinstance(frame, LLMContextAssistantTurnFrame):
            self._told("assistant", frame.timestamp, frame.text)
            self._turns.committed(frame.text)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._is_generated = False
            self._turns.answer_begins(frame.id)
        elif isinstance(frame, LLMFullResponseEndFrame):
            self._turns.answer_was_generated(frame.id)
        elif isinstance(frame, TTSSpeakFrame):
            self._turns.line(frame.text, reaches_context=frame.append_to_context)
        elif isinstance(frame, InterruptionFrame):
            self._turns.is_cut(frame.id)
        elif isinstance(frame, MetricsFrame):
            for measured in frame.data:
                self._figures.take(measured, data.source)
        elif not self._take_speech(frame, data.timestamp):
            self._take_tool(frame)

    def take_heard(self, data: FrameProcessed) -> None:
        """Take in what the aggregator processes, which is when it was heard.

        What waits in its queue is dropped by an interruption.
        """
        frame = data.frame
        if data.processor is not self._assistant or data.direction is FrameDirection.UPSTREAM:
            return
        if isinstance(frame, TTSTextFrame):
            if not frame.append_to_context:
                self._turns.was_heard(frame.text)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._turns.answer_arrives(frame.id)
        elif isinstance(frame, LLMAssistantPushAggregationFrame):
            self._turns.line_arrives()
        elif isinstance(frame, LLMFullResponseEndFrame):
            self._turns.answer_ends(frame.id)

    def _take_speech(self, frame: Frame, timestamp: int) -> bool:
        """Take when somebody speaks; return whether the frame says so."""
        if isinstance(frame, BotStartedSpeakingFrame):
            waited = None
            if self._silent_since is not None:
                waited = (timestamp - self._silent_since) / 1e6
                self._silent_since = None
                self._figures.stage("first_audio_ms", waited)
            self._latency.answered(waited)
            self._turns.speaks()
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._turns.is_silent()
        elif isinstance(frame, UserStartedSpeakingFrame):
            self._turns.user_begins()
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._turns.user_ends()
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            self._silent_since = None
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._silent_since = timestamp - int(frame.stop_secs * 1e9)
        elif isinstance(frame, RTVISendTextFrame):
            self._turns.user_said(frame.text, None)
        elif isinstance(frame, LLMServiceMetadataFrame):
            self._turns.is_realtime |= frame.is_realtime_service
        else:
            return False
        return True

    def _take_tool(self, frame: Frame) -> None:
        if isinstance(frame, FunctionCallsStartedFrame):
            for call in frame.function_calls:
                self._tools.begins(call.tool_call_id, call.function_name, call.arguments)
        elif isinstance(frame, FunctionCallInProgressFrame):
            self._tools.begins(frame.tool_call_id, frame.function_name, frame.arguments)
            self._tools.runs(frame.tool_call_id, keeps_turn=frame.cancel_on_interruption)
        elif isinstance(frame, FunctionCallResultFrame):
            properties, error = frame.properties, frame.error
            asked = frame.run_llm if properties is None else properties.run_llm
            self._tools.ends(
                frame.tool_call_id,
                frame.function_name,
                frame.result if error is None else error,
                is_error=error is not None,
                is_final=properties is None or properties.is_final,
                asks=bool(frame.result) and asked is not False,
            )
        elif isinstance(frame, FunctionCallCancelFrame):
            self._tools.ends(
                frame.tool_call_id,
                frame.function_name,
                "timed out" if frame.run_llm else "cancelled",
                is_error=True,
                is_final=True,
                asks=frame.run_llm,
            )

    def _take_error(self, frame: ErrorFrame, source: FrameProcessor) -> None:
        payload = {"source": label((frame.processor or source).name)}
        if frame.category is not None:
            payload["category"] = str(frame.category)
        self._recorder.item("custom", payload, name="error", is_error=True)


def basis(frame: TTSTextFrame, source: FrameProcessor) -> HeardBasis:
    """Return how a voice tells what is heard.

    Only words with a time of their own wait for their audio. The text of a realtime model runs
    ahead of it, also where it comes word by word.
    """
    if isinstance(source, LLMService):
        return "generated"
    return "words" if frame.text_type == TextType.WORD and frame.pts else "segments"
