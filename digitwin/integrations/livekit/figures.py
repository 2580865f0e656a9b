"""Figures of the framework, under digitwin's names and in its units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from livekit.agents.metrics import AgentSessionUsage

from digitwin.conversations.content.fields import UsageFigures, UsageKind

STAGES: Final = {
    "transcription_delay": "asr_ms",
    "end_of_turn_delay": "end_of_turn_ms",
    "llm_node_ttft": "llm_first_token_ms",
    "tts_node_ttfb": "tts_first_audio_ms",
    "e2e_latency": "first_audio_ms",
    "playback_latency": "render_ms",
}
"""Metrics of messages, in seconds."""
KINDS: Final[dict[str, UsageKind]] = {"llm_usage": "llm", "tts_usage": "tts", "stt_usage": "stt"}


def stages(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Return the stages of a message, in milliseconds."""
    for name, stage in STAGES.items():
        value = metrics.get(name)
        if isinstance(value, int | float):
            yield stage, value * 1000


class Used:
    """What was used since it was asked last: the framework tells sums of the whole session.

    Args:
        usage: what was used before; it was recorded then, or is no part of the recording.
    """

    def __init__(self, usage: AgentSessionUsage) -> None:
        self._before = dict(_sums(usage))

    def start(self) -> None:
        """Note that the session starts, and begins its sums anew."""
        self._before.clear()

    def since(self, usage: AgentSessionUsage) -> Iterator[tuple[UsageKind, str, str, UsageFigures]]:
        """Return kind, provider, model and counts of each model that was used.

        What the caller does not take, because of an error, is returned the next time.
        """
        for key, now in _sums(usage):
            before = self._before.get(key, {})
            new = {name: value - before.get(name, 0) for name, value in now.items()}
            if any(new.values()):
                kind, provider, model = key
                yield KINDS[kind], provider, model, _figures(kind, new)
                self._before[key] = now


def _sums(
    usage: AgentSessionUsage,
) -> Iterator[tuple[tuple[str, str, str], dict[str, float]]]:
    """Return the figures of each model, by its kind, provider and name."""
    for sums in usage.model_usage:
        if sums.type in KINDS:
            figures = {
                name: value
                for name, value in sums.model_dump().items()
                if isinstance(value, int | float)
            }
            yield (sums.type, sums.provider, sums.model), figures


def _figures(kind: str, used: Mapping[str, float]) -> UsageFigures:
    if kind == "llm_usage":
        return _tokens(used)
    figures: UsageFigures = {"audio_ms": used["audio_duration"] * 1000}
    if kind == "tts_usage":
        return figures | {
            "characters": used["characters_count"],
            "input_tokens": used["input_tokens"],
            "audio_output_tokens": used["output_tokens"],
        }
    return figures | {
        "input_tokens": max(0, used["input_tokens"] - used["input_audio_tokens"]),
        "audio_input_tokens": used["input_audio_tokens"],
        "output_tokens": used["output_tokens"],
    }


def _tokens(used: Mapping[str, float]) -> UsageFigures:
    """Return tokens in buckets that do not overlap, of totals that contain their parts."""
    cached, written = used["input_cached_tokens"], used["input_cache_creation_tokens"]
    heard = max(0, used["input_audio_tokens"] - used["input_cached_audio_tokens"])
    spoken, reasoned = used["output_audio_tokens"], used["output_reasoning_tokens"]
    return {
        "input_tokens": max(0, used["input_tokens"] - cached - written - heard),
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "audio_input_tokens": heard,
        "output_tokens": max(0, used["output_tokens"] - spoken - reasoned),
        "reasoning_tokens": reasoned,
        "audio_output_tokens": spoken,
    }
