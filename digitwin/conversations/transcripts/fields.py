"""What the lines of a transcript may contain, by their type.

Names and meanings are those of the tables' columns; a field without a value is left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from digitwin.conversations.content.fields import ItemKind, Name, UsageKind
from digitwin.conversations.fields import (
    MAX_TEXT,
    EndReason,
    ExternalId,
    IdempotencyKey,
    Status,
)
from digitwin.conversations.participant import Kind
from digitwin.kernel.primitives.ids import one_spelling, refuse_nil
from digitwin.kernel.primitives.validation import (
    STRICT,
    AwareDatetime,
    Count,
    FiniteFloat,
    Flag,
    Id,
    JsonObject,
    JsonValue,
    line,
    text,
)

TurnStatus = Literal["completed", "interrupted", "open", "abandoned"]
ArtifactKind = Literal["recording", "video", "image", "file"]

Text = Annotated[str, text(MAX_TEXT)]


def _one_spelling(ref: str) -> str:
    return refuse_nil(one_spelling(ref), "ref")


def _read_moment(value: Any) -> Any:
    if type(value) is not str:
        raise PydanticCustomError("moment", "must be a time in ISO 8601 format")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("moment", "must be a time in ISO 8601 format") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_read_moment), AfterValidator(datetime.isoformat)]
"""A time in ISO 8601 with its zone; validated to the same in UTC."""
RowId = Annotated[Id, AfterValidator(lambda id: id if isinstance(id, UUID) else UUID(id))]


@with_config(STRICT)
class SessionLine(TypedDict, total=False):
    """The conversation; its participants, turns and the rest follow."""

    id: RowId
    external_id: ExternalId
    participant_id: RowId
    voice_model_id: RowId
    face_model_id: RowId
    status: Status
    end_reason: EndReason
    started_at: Moment
    ended_at: Moment
    metadata: JsonObject
    created_at: Moment


@with_config(STRICT)
class _ParticipantKey(TypedDict):
    id: RowId
    kind: Kind


@with_config(STRICT)
class ParticipantLine(_ParticipantKey, total=False):
    """Who talks in the conversation."""

    ref: Annotated[Name, AfterValidator(_one_spelling)]
    name: Name
    traits: Annotated[list[Annotated[str, line(500)]], Field(max_length=100)]
    created_at: Moment
    updated_at: Moment


@with_config(STRICT)
class TurnLine(TypedDict, total=False):
    """An exchange; ``position`` counts from 1."""

    id: RowId
    position: Count
    user_text: Text
    twin_text: Text
    heard_text: Text
    status: TurnStatus
    started_at: Moment
    ended_at: Moment
    participant_id: RowId
    language: Annotated[str, line(35)]
    end_of_turn_ms: Count
    asr_ms: Count
    retrieval_ms: Count
    llm_first_token_ms: Count
    llm_ms: Count
    tool_ms: Count
    tts_first_audio_ms: Count
    tts_ms: Count
    render_ms: Count
    first_audio_ms: Count
    total_ms: Count
    input_tokens: Count
    output_tokens: Count
    extra: JsonObject
    idempotency_key: IdempotencyKey
    created_at: Moment
    updated_at: Moment


@with_config(STRICT)
class _ItemKey(TypedDict):
    kind: ItemKind


@with_config(STRICT)
class ItemLine(_ItemKey, total=False):
    """An item of a turn, or of the conversation alone; ``number`` is its order."""

    id: RowId
    turn_id: RowId
    number: Count
    item_id: Name
    call_id: Name
    name: Name
    payload: JsonValue
    is_error: Flag
    started_at: Moment
    ended_at: Moment
    created_at: Moment


@with_config(STRICT)
class _UsageKey(TypedDict):
    kind: UsageKind


@with_config(STRICT)
class UsageLine(_UsageKey, total=False):
    """What a request to a provider cost; the counts do not overlap."""

    id: RowId
    turn_id: RowId
    provider: Annotated[str, line(100)]
    model: Name
    request_id: Name
    input_tokens: Count
    cached_input_tokens: Count
    cache_write_tokens: Count
    output_tokens: Count
    reasoning_tokens: Count
    audio_input_tokens: Count
    audio_output_tokens: Count
    characters: Count
    audio_ms: Count
    extra: JsonObject
    used_at: Moment
    created_at: Moment


@with_config(STRICT)
class _SourceKey(TypedDict):
    turn_id: RowId


@with_config(STRICT)
class SourceLine(_SourceKey, total=False):
    """A passage of a document that a turn used."""

    id: RowId
    document_id: RowId
    passage: Annotated[str, text(200)]
    score: FiniteFloat
    quote: Text
    created_at: Moment


@with_config(STRICT)
class _ArtifactKey(TypedDict):
    kind: ArtifactKind


@with_config(STRICT)
class ArtifactLine(_ArtifactKey, total=False):
    """The facts about a recording or a file; not its address, which stays sealed."""

    id: RowId
    turn_id: RowId
    content_type: Annotated[str, line(100)]
    size_bytes: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
    duration_ms: Count
    started_at: Moment
    metadata: JsonObject
    created_at: Moment
    updated_at: Moment


@with_config(STRICT)
class EndLine(TypedDict, total=False):
    """How many lines of each type the conversation has."""

    participant: Count
    turn: Count
    item: Count
    usage: Count
    source: Count
    artifact: Count
