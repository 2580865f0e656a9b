"""Figures of the framework, under digitwin's names and in its units."""

from __future__ import annotations

from typing import Final

from pipecat.metrics.metrics import (
    LLMTokenUsage,
    LLMUsageMetricsData,
    MetricsData,
    STTUsageMetricsData,
    TTFBMetricsData,
    TTSUsageMetricsData,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from digitwin.conversations.content.fields import UsageFigures, UsageKind

FIRST_BYTE: Final = (
    (LLMService, "llm_first_token_ms"),
    (TTSService, "tts_first_audio_ms"),
    (STTService, "asr_ms"),
)
"""What the first byte of a service means."""


def stage(data: MetricsData, source: FrameProcessor) -> tuple[str, float] | None:
    """Return a stage and its milliseconds, if the metric is one."""
    if isinstance(data, TTFBMetricsData):
        for kind, name in FIRST_BYTE:
            if isinstance(source, kind):
                return name, data.value * 1000
    return None


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
    them with all of them, so that what was read is the total without what was written.
    """
    cached = used.cache_read_input_tokens or 0
    written = used.cache_creation_input_tokens or 0
    cached_audio = used.cache_read_input_audio_tokens or 0
    heard = max(0, (used.input_audio_tokens or 0) - cached_audio)
    spoken, reasoned = used.output_audio_tokens or 0, used.reasoning_tokens or 0
    read = max(used.prompt_tokens, used.total_tokens - used.completion_tokens)
    return {
        "input_tokens": max(0, read - cached - written - heard),
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "audio_input_tokens": heard,
        "output_tokens": max(0, used.completion_tokens - spoken - reasoned),
        "reasoning_tokens": reasoned,
        "audio_output_tokens": spoken,
    }
