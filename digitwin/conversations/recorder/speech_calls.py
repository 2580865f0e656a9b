"""The calls by which a pipeline tells a recorder what is said; none of them waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from digitwin.conversations.recorder import inputs
from digitwin.conversations.recorder.inputs import EndStatus
from digitwin.conversations.recorder.script import Event, Script
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import Id, validate

OVERHEAD: Final = 200
"""Bytes that an event takes besides its texts."""


class SpeechCalls:
    """What a pipeline calls while it runs, on the event loop's thread.

    A call that returns was accepted: it will be stored, unless the database refuses it for good.
    A call that raises has changed nothing. ``turn_id`` names the turn that a call is about, where
    that is not the open one; ``at`` is when it happened, if not now.

    All of them raise:
        InvalidInputError: an argument is invalid; names it.
        InvalidStateError: outside the recorder's block, or from another thread.
        BufferFullError: the buffer is full; wait for :meth:`~TurnRecorder.room`.
        ClosedError: the handle is closed or closing.
    """

    _script: Script

    def user_text(
        self,
        text: str,
        *,
        at: datetime | None = None,
        language: str | None = None,
        participant_id: Id | None = None,
        turn_id: Id | None = None,
    ) -> None:
        """Add what the participant said; opens the next turn where none is open.

        In an open turn it is another utterance of the same exchange, on a line of its own. The
        next turn is opened, and the open one ended, if another participant speaks, if the twin
        was interrupted, or if the open turn is a greeting.

        Args:
            text: final text, 1 to 100,000 characters in a turn.
            language: what was spoken, such as ``de-CH``, up to 35 characters.
            participant_id: who spoke, if not the recorder's participant.
            turn_id: a turn of this recorder that the text comes late for; an unknown id opens a
                turn that has it.
        """
        said = inputs.said(text, "text")
        if not said:
            raise InvalidInputError("text must not be empty", field="text")
        if language is not None:
            language = validate(inputs.LANGUAGE, language, "language")
        target, speaker = (
            optional_id(turn_id, "turn_id"),
            optional_id(participant_id, "participant_id"),
        )
        when = self._time(at)
        self._script.check_user_text(said, target, speaker)
        self._take(
            lambda: self._script.user_text(
                said, when, turn_id=target, participant_id=speaker, language=language
            ),
            size_of(said),
        )

    def twin_text(
        self, delta: str, *, at: datetime | None = None, turn_id: Id | None = None
    ) -> None:
        """Add a piece of what the twin says; opens a turn where none is open, as a greeting does.

        Args:
            delta: appended as it is, up to 100,000 characters in a turn; empty: nothing happens.
        """
        piece, target = inputs.said(delta, "delta"), optional_id(turn_id, "turn_id")
        when = self._time(at)
        self._script.check_twin_text(piece, target)
        if piece:
            self._take(lambda: self._script.twin_text(piece, when, target), size_of(piece))

    def heard(self, text: str, *, basis: str | None = None, turn_id: Id | None = None) -> None:
        """Say what was heard of the twin's text so far; replaces what was said before.

        Without a ``turn_id`` it is about the open turn, else the last one.

        Args:
            basis: how it is known, such as ``words``, up to 200 characters; kept in the turn's
                ``extra`` as ``heard_basis``.

        Raises:
            InvalidInputError: the twin has said nothing in this turn.
            InvalidStateError: there is no turn yet.
        """
        said, target = inputs.said(text, "text"), optional_id(turn_id, "turn_id")
        extra = None if basis is None else {"heard_basis": inputs.name(basis, "basis")}
        self._script.check_heard(target)
        self._take(lambda: self._script.heard(said, target, extra), size_of(said))

    def interrupted(
        self, *, heard: str | None = None, at: datetime | None = None, turn_id: Id | None = None
    ) -> None:
        """Note that the participant cut in: the open turn, or else the last one, is interrupted.

        The turn stays open for what the twin still says or a tool still answers, until the
        participant's next utterance, or ``turn_done``. Nothing happens if there is no such turn.

        Args:
            heard: as :meth:`heard`; empty: nothing was heard.
        """
        said = None if heard is None else inputs.said(heard, "heard")
        when, target = self._time(at), optional_id(turn_id, "turn_id")
        self._take(
            lambda: self._script.interrupted(when, said, target), size_of(said or ""), vital=True
        )

    def resumed(self, *, turn_id: Id | None = None) -> None:
        """Take a false interruption back: the turn goes on, and what was heard is cleared.

        Nothing happens if the last turn, or the named one, was not interrupted.
        """
        target = optional_id(turn_id, "turn_id")
        self._take(lambda: self._script.resumed(target), OVERHEAD, vital=True)

    def turn_done(
        self,
        *,
        status: EndStatus = "completed",
        at: datetime | None = None,
        turn_id: Id | None = None,
    ) -> None:
        """End the open turn; nothing happens if none is open.

        With a ``turn_id``, end that turn; one that was ended by the next gets this status.

        Args:
            status: ``completed``, ``interrupted`` or ``abandoned``. A turn that was interrupted
                stays so.
        """
        end, when = validate(inputs.END_STATUS, status, "status"), self._time(at)
        target = optional_id(turn_id, "turn_id")
        self._take(lambda: self._script.done(when, end, target), OVERHEAD, vital=True)

    def stage(self, stage: str, ms: float | None, *, turn_id: Id | None = None) -> None:
        """Note how long a stage of the open turn took, else of the last one.

        Args:
            stage: such as ``asr`` or ``asr_ms``. An unknown one is kept in the turn's ``extra``,
                with one warning.
            ms: milliseconds, rounded; None and negative numbers are unknown.
        """
        known, extra = inputs.stage(stage, ms)
        target = optional_id(turn_id, "turn_id")
        self._take(lambda: self._script.stage(known, extra, target), OVERHEAD)

    def _take(self, change: Callable[[], list[Event]], size: int, *, vital: bool = False) -> None:
        """Accept what ``change`` writes; ``vital``: also into a full buffer, since it is small."""
        raise NotImplementedError

    def _time(self, at: datetime | None) -> datetime:
        """Return the time of an event."""
        raise NotImplementedError


def optional_id(value: Id | None, field: str) -> UUID | None:
    """Return an id that may be left out.

    Raises:
        InvalidInputError: it is no UUID.
    """
    return None if value is None else parse_id(value, field)


def size_of(text: str) -> int:
    """Return the bytes that an event with this text takes."""
    return OVERHEAD + (len(text) if text.isascii() else len(text.encode()))
