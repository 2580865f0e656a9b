"""Input types of sessions and turns."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import InstanceOf, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.participant import Participant
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    PLAIN_DICT,
    STRICT,
    Count,
    Id,
    JsonObject,
    line,
    text,
)

MAX_TEXT = 100_000
"""Characters of one text of a turn: about two hours of speech."""

Status = Literal["active", "ended"]
ExternalId = Annotated[str, line(200)]
EndReason = Annotated[str, line(64)]
IdempotencyKey = Annotated[str, line(200)]
TurnText = Annotated[str, text(MAX_TEXT, min_length=1)]
HeardText = Annotated[str, text(MAX_TEXT, min_length=0)]


@with_config(STRICT)
class Timings(TypedDict, total=False):
    """Durations of a turn's stages, in whole milliseconds.

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
    """Token counts of a turn."""

    input_tokens: Count | None
    output_tokens: Count | None


STAGES = tuple(Timings.__annotations__)
TOKENS = tuple(Usage.__annotations__)


@with_config(STRICT)
class TurnChanges(TypedDict, total=False):
    """Fields of ``amend_turn``; None, or left out, keeps the stored value.

    ``timings`` and ``usage`` are merged key by key with the stored ones.
    """

    user_text: TurnText | None
    twin_text: TurnText | None
    heard_text: HeardText | None
    timings: Annotated[Timings, PLAIN_DICT] | None
    usage: Annotated[Usage, PLAIN_DICT] | None
    interrupted: bool | None


@with_config(STRICT)
class NewTurn(TurnChanges, total=False):
    """One exchange: ``user_text``, ``twin_text`` or both.

    ``user_text`` is what the participant said, ``heard_text`` the part of ``twin_text`` that was
    heard before an interruption (empty: nothing). An ``idempotency_key`` makes retries store the
    turn once.
    """

    idempotency_key: IdempotencyKey | None


@with_config(STRICT)
class NewNamedSession(TypedDict, total=False):
    """Fields of ``start_or_get``; the models must belong to the owner and not be deleted."""

    participant: InstanceOf[Participant] | None
    voice_model_id: Id | None
    face_model_id: Id | None
    metadata: JsonObject | None


@with_config(STRICT)
class SessionFields(NewNamedSession, total=False):
    """Fields of ``start``, those of :class:`NewNamedSession` among them.

    ``external_id`` is the caller's own name for the session, unique per owner.
    """

    external_id: ExternalId | None


class NewSession(SessionFields, total=False):
    """A row of ``create_many``: the arguments of ``start``."""

    user_id: UUID | str
    id: UUID | str


@with_config(STRICT)
class SessionChanges(TypedDict, total=False):
    """Fields of ``update``; ``end`` changes the status."""

    external_id: ExternalId | None
    metadata: JsonObject


@with_config(STRICT)
class SessionFilters(TypedDict, total=False):
    """Filters of ``list``, ``stream``, ``count`` and ``exists``; None matches NULL."""

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
TURNS = TypeAdapter(list[Annotated[NewTurn, PLAIN_DICT]], config=DEFERRED)
TURN_CHANGES = TypeAdapter(TurnChanges)
REASON = TypeAdapter(EndReason, config=DEFERRED)
