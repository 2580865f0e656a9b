"""What sessions and turns are made of, as callers give it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import InstanceOf, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.participant import Participant
from digitwin.kernel.primitives.validation import STRICT, Count, Id, JsonObject, line, text

MAX_TEXT = 100_000
"""Characters of one text of a turn: two hours of speech; what is longer is a document."""

Status = Literal["active", "ended"]
ExternalId = Annotated[str, line(200)]
Reason = Annotated[str, line(64)]
Key = Annotated[str, line(200)]
Said = Annotated[str, text(MAX_TEXT, min_length=1)]
Heard = Annotated[str, text(MAX_TEXT, min_length=0)]


@with_config(STRICT)
class Timings(TypedDict, total=False):
    """How long a turn's stages took, in whole milliseconds.

    ``first_audio_ms`` runs from the end of the participant's speech to the first sound.
    """

    asr_ms: Count | None
    retrieval_ms: Count | None
    llm_first_token_ms: Count | None
    llm_ms: Count | None
    tts_ms: Count | None
    render_ms: Count | None
    first_audio_ms: Count | None
    total_ms: Count | None


@with_config(STRICT)
class Usage(TypedDict, total=False):
    """The tokens a turn took."""

    input_tokens: Count | None
    output_tokens: Count | None


STAGES = tuple(Timings.__annotations__)
TOKENS = tuple(Usage.__annotations__)


@with_config(STRICT)
class TurnChanges(TypedDict, total=False):
    """Fields of ``amend_turn``; what is left out, or None, stays as it is.

    ``timings`` and ``usage`` are merged stage by stage with what is stored.
    """

    user_text: Said | None
    twin_text: Said | None
    heard_text: Heard | None
    timings: Timings | None
    usage: Usage | None
    interrupted: bool | None


class NewTurn(TurnChanges, total=False):
    """One exchange: what the participant said and what the twin answered; one of them at least.

    ``heard_text`` is what was heard of ``twin_text`` before an ``interrupted`` turn broke off
    (empty: nothing). With an ``idempotency_key`` the turn is stored once, however often sent.
    """

    idempotency_key: Key | None


@with_config(STRICT)
class SessionFields(TypedDict, total=False):
    """What a session starts with, besides its owner.

    ``external_id`` is the caller's own name for it, unique per owner. The voice and face
    models are living ones of the owner.
    """

    external_id: ExternalId | None
    participant: InstanceOf[Participant] | None
    voice_model_id: Id | None
    face_model_id: Id | None
    metadata: JsonObject | None


class NewSession(SessionFields, total=False):
    """One row of ``create_many``: what ``start`` takes."""

    user_id: UUID | str
    id: UUID | str


@with_config(STRICT)
class SessionChanges(TypedDict, total=False):
    """Fields of ``update``; a session's status is changed by ``end``."""

    external_id: ExternalId | None
    metadata: JsonObject


@with_config(STRICT)
class SessionFilters(TypedDict, total=False):
    """What ``list``, ``stream``, ``count`` and ``exists`` can ask for; None means "has none"."""

    user_id: UUID | str
    external_id: ExternalId | None
    participant_id: Id | None
    voice_model_id: Id | None
    face_model_id: Id | None
    status: Status


SESSION = TypeAdapter(SessionFields)
SESSION_CHANGES = TypeAdapter(SessionChanges)
SESSION_FILTERS = TypeAdapter(SessionFilters)
TURN = TypeAdapter(NewTurn)
TURNS = TypeAdapter(list[NewTurn])
TURN_CHANGES = TypeAdapter(TurnChanges)
REASON = TypeAdapter(Reason)
