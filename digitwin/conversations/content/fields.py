"""Input types of items, usage and sources."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import (
    DEFERRED,
    PLAIN_DICT,
    STRICT,
    AwareDatetime,
    FiniteFloat,
    Flag,
    Id,
    JsonValue,
    line,
    text,
)

MAX_QUOTE: Final = 100_000
"""Characters of a quote."""

ItemKind = Literal[
    "message",
    "tool_call",
    "tool_result",
    "handoff",
    "reasoning",
    "image",
    "audio",
    "file",
    "custom",
]
UsageKind = Literal["llm", "stt", "tts", "avatar", "embedding"]
UsageGroup = Literal["user_id", "session_id", "participant_id", "kind", "provider", "model", "day"]
Name = Annotated[str, line(200)]
Figure = float
"""A count or a duration as it is reported: rounded; negative ones, such as -1, are unknown."""

INPUT_BUCKETS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
)
"""Tokens that a model read, each in one bucket only: their sum is all it read."""
OUTPUT_BUCKETS: Final = ("output_tokens", "reasoning_tokens", "audio_output_tokens")
"""Tokens that it wrote, in the same way."""
USAGE_FIGURES: Final = (*INPUT_BUCKETS, *OUTPUT_BUCKETS, "characters", "audio_ms")


@with_config(STRICT)
class _Item(TypedDict, total=False):
    item_id: Name | None
    call_id: Name | None
    name: Name | None
    payload: JsonValue
    is_error: Flag
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


@with_config(STRICT)
class NewItem(_Item):
    """A part of a conversation.

    Args:
        kind: message, tool_call, tool_result, handoff, reasoning, image, audio, file or custom.
        item_id: the caller's own id, unique in the session: an item that is sent again is
            stored once.
        call_id: what a ``tool_call`` and its ``tool_result`` share; both need one.
        name: of the tool, or of whom the conversation is handed to.
        payload: any JSON value, up to 1,048,576 bytes; an empty object unless given.
        is_error: whether the tool failed.
        started_at: with a time zone, as ``ended_at``, which is not before it.
    """

    kind: ItemKind


@with_config(STRICT)
class _Source(TypedDict, total=False):
    passage: Name | None
    score: FiniteFloat | None
    quote: Annotated[str, text(MAX_QUOTE)] | None


@with_config(STRICT)
class NewSource(_Source):
    """What an answer used: a document of the twin's owner.

    Args:
        document_id: a document of that owner.
        passage: the place in it, up to 200 characters.
        score: how well it fitted.
        quote: what was quoted, up to 100,000 characters.
    """

    document_id: Id


class UsageFigures(TypedDict, total=False):
    """What a request to a provider cost. The counts do not overlap.

    Floats are rounded; None and negative numbers are unknown. Another name is kept in ``extra``,
    with one warning for each.

    Args:
        input_tokens: tokens read that are in no other bucket.
        cached_input_tokens: tokens read from the provider's cache.
        cache_write_tokens: tokens read and written to its cache.
        audio_input_tokens: tokens of audio read.
        output_tokens: tokens written that are in no other bucket.
        reasoning_tokens: tokens of reasoning.
        audio_output_tokens: tokens of audio written.
        characters: characters of speech synthesis.
        audio_ms: milliseconds of audio.
    """

    input_tokens: Figure | None
    cached_input_tokens: Figure | None
    cache_write_tokens: Figure | None
    audio_input_tokens: Figure | None
    output_tokens: Figure | None
    reasoning_tokens: Figure | None
    audio_output_tokens: Figure | None
    characters: Figure | None
    audio_ms: Figure | None


@with_config(STRICT)
class UsageLabels(TypedDict, total=False):
    """What a request to a provider was."""

    kind: UsageKind
    provider: Annotated[str, line(100)] | None
    model: Name | None
    request_id: Name | None
    used_at: AwareDatetime | None


ITEMS = TypeAdapter(list[Annotated[NewItem, PLAIN_DICT]], config=DEFERRED)
ITEM_KINDS = TypeAdapter(list[ItemKind], config=DEFERRED)
SOURCES = TypeAdapter(list[Annotated[NewSource, PLAIN_DICT]], config=DEFERRED)
USAGE = TypeAdapter(UsageLabels)
GROUPS_ASKED = TypeAdapter(list[UsageGroup], config=DEFERRED)
TIME_ZONE: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_+/-]{1,64}$")], config=DEFERRED
)
