"""Input types of sessions and turns."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import InstanceOf, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.figures import FiguresOf
from digitwin.conversations.participant import Participant
from digitwin.kernel.primitives.validation import (
    DEFERRED,
    PLAIN_DICT,
    STRICT,
    AwareDatetime,
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
Language = Annotated[str, line(35)]


class Timings(TypedDict, total=False):
    """Durations of a turn's stages, in milliseconds; None or -1: not measured.

    ``end_of_turn_ms`` runs from the end of the participant's speech to its detection,
    ``first_audio_ms`` to the first sound of the answer; ``render_ms`` is the delay with which the
    avatar plays it.
    """

    end_of_turn_ms: float | None
    asr_ms: float | None
    retrieval_ms: float | None
    llm_first_token_ms: float | None
    llm_ms: float | None
    tool_ms: float | None
    tts_first_audio_ms: float | None
    tts_ms: float | None
    render_ms: float | None
    first_audio_ms: float | None
    total_ms: float | None


class Usage(TypedDict, total=False):
    """Token counts of a turn; None or -1: not counted."""

    input_tokens: float | None
    output_tokens: float | None


STAGES = tuple(Timings.__annotations__)
TOKENS = tuple(Usage.__annotations__)


@with_config(STRICT)
class TurnFigures(TypedDict, total=False):
    """Figures of a turn.

    Fractions are rounded. A name that is no stage or count is kept in the turn's ``extra``, with a
    warning; what is no number is left out.
    """

    timings: Annotated[Timings, FiguresOf(STAGES, "timings")] | None
    usage: Annotated[Usage, FiguresOf(TOKENS, "usage")] | None


class TurnDescription(TurnFigures, total=False):
    """What is known of a turn besides its texts: who spoke if not the session's participant
    (``participant_id``), and the ``language`` that was spoken, such as ``de-CH``."""

    participant_id: Id | None
    language: Language | None


@with_config(STRICT)
class TurnChanges(TurnDescription, total=False):
    """Fields of ``amend_turn``; None, or left out, keeps the stored value.

    ``timings`` and ``usage`` are merged key by key with the stored ones. ``interrupted=False``
    takes an interruption back: without a new ``heard_text`` the stored one is cleared.
    """

    user_text: TurnText | None
    twin_text: TurnText | None
    heard_text: HeardText | None
    interrupted: bool | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


@with_config(STRICT)
class NewTurn(TurnChanges, total=False):
    """One exchange: ``user_text``, ``twin_text`` or both.

    ``user_text`` is what the participant said, ``heard_text`` the part of ``twin_text`` that was
    heard before an interruption (empty: nothing). An ``idempotency_key`` makes retries store the
    turn once. ``started_at`` and ``ended_at`` are the clock's unless given.
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
    """Fields of ``update``; ``end`` changes the status.

    ``metadata`` replaces all of it. ``metadata_patch`` sets the keys it has, each as a whole, and
    removes those whose value is None; other keys stay.
    """

    external_id: ExternalId | None
    metadata: JsonObject
    metadata_patch: JsonObject


@with_config(STRICT)
class SessionFilters(TypedDict, total=False):
    """Filters of ``list``, ``overviews``, ``stream``, ``count`` and ``exists``; None matches NULL.

    ``participant`` finds the sessions of one kind and ref, of all owners without a scope.
    """

    user_id: UUID | str
    participant: InstanceOf[Participant]
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
