"""Figures of the framework, under digitwin's names and in its units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipecat.metrics.metrics import (
    LLMTokenUsage,
    LLMUsageMetricsData,
    MetricsData,
    STTUsageMetricsData,
    TTFAMetricsData,
    TTFATMetricsData,
    TTFBMetricsData,
    TTSUsageMetricsData,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from digitwin.conversations.content.fields import UsageFigures, UsageKind
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.pipecat.tools import label
from digitwin.integrations.pipecat.turn import Note, Turn
from digitwin.integrations.pipecat.turns import Turns

FIRST_BYTE: Final = (
    (LLMService, "llm_first_token_ms"),
    (TTSService, "tts_first_audio_ms"),
    (STTService, "asr_ms"),
)
"""What the first byte of a service means."""


class Figures:
    """Tells a recorder what was measured, in the turn that it is about."""

    def __init__(self, recorder: TurnRecorder, turns: Turns) -> None:
        self._recorder = recorder
        self._turns = turns

    def take(self, data: MetricsData, source: FrameProcessor) -> None:
        """Take in one metric, which ``source`` has told."""
        is_of_words = isinstance(source, STTService)
        for name, ms in stages(data, source):
            self.stage(name, ms, is_of_words=is_of_words)
        used = usage(data)
        if used is None:
            return
        kind, counts = used

        def note(turn: Turn | None) -> None:
            self._recorder.usage(
                kind=kind,
                provider=label(data.processor.split("#")[0])[:100],
                model=label(data.model) if data.model else None,
                turn_id=None if turn is None else turn.id,
                **counts,
            )

        self._note(note, is_of_words=is_of_words)

    def stage(self, name: str, ms: float, *, is_of_words: bool = False) -> None:
        """Note how long a stage took: of each turn the first, which the participant waited for."""

        def note(turn: Turn | None) -> None:
            if turn is not None and name not in turn.measured:
                turn.measured.add(name)
                self._recorder.stage(name, ms, turn_id=turn.id)

        self._note(note, is_of_words=is_of_words)

    def _note(self, note: Note, *, is_of_words: bool) -> None:
        if is_of_words:
            self._turns.about_words(note)
        else:
            self._turns.about(self._turns.answer, note)


def stages(data: MetricsData, source: FrameProcessor) -> Iterator[tuple[str, float]]:
    """Return the stages that a metric tells, in milliseconds."""
    if isinstance(data, TTFBMetricsData):
        for kind, name in FIRST_BYTE:
            if isinstance(source, kind):
                yield name, data.value * 1000
                return
    elif isinstance(data, TTFATMetricsData):
        yield "llm_answer_token_ms", data.ttfat * 1000
    elif isinstance(data, TTFAMetricsData):
        yield "tts_audible_ms", data.ttfa * 1000


def usage(data: MetricsData) -> tuple[UsageKind, UsageFigures] | None:
    """Return what a request used, if the metric says so."""
    if isinstance(data, LLMUsageMetricsData):
        return "llm", tokens(data.value)
    if isinstance(data, TTSUsageMetricsData):
        return "tts", {"characters": data.value}
    if isinstance(data, STTUsageMetricsData):
        return "stt", {"audio_ms": data.value.audio_seconds * 1000}
    return None


def tokens(used: LLMTokenUsage) -> UsageFigures:
    """Return tokens in buckets that do not overlap.

    Providers count cached tokens inside or beside ``prompt_tokens``; ``total_tokens`` contains
    them with all of them, so that what was read is the total without what was written. A part
    that does not fit into its sum, as where a provider does not tell how much of the audio was
    cached, is made smaller: the buckets never add up to more than was used.
    """
    cached_audio = used.cache_read_input_audio_tokens or 0
    read = _shares(
        max(used.prompt_tokens, used.total_tokens - used.completion_tokens),
        used.cache_read_input_tokens,
        used.cache_creation_input_tokens,
        (used.input_audio_tokens or 0) - cached_audio,
    )
    written = _shares(used.completion_tokens, used.reasoning_tokens, used.output_audio_tokens)
    return {
        "input_tokens": read[0],
        "cached_input_tokens": read[1],
        "cache_write_tokens": read[2],
        "audio_input_tokens": read[3],
        "output_tokens": written[0],
        "reasoning_tokens": written[1],
        "audio_output_tokens": written[2],
    }


def _shares(total: int, *parts: int | None) -> list[int]:
    """Return what is left of a sum, and its parts."""
    left, shares = max(0, total), []
    for part in parts:
        share = min(left, max(0, part or 0))
        left -= share
        shares.append(share)
    return [left, *shares]
