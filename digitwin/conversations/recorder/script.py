"""What the calls of a recorder mean: which turn is open, and what each call writes.

Pure: no clock, no database, no buffer. A call is checked first (the methods ``check_…``), and
changes the state only once it is accepted (the others, which return what is to be written).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.living.writes import ItemWrite, SourceWrite, TurnWrite, UsageWrite
from digitwin.conversations.recorder.turn import Turn
from digitwin.conversations.turns import heard_without_twin_text
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7

SEPARATOR: Final = "\n"
"""Between the utterances of one turn."""
REMEMBERED: Final = 1000
"""Turns, tool calls and early stages that later calls can still refer to."""

K = TypeVar("K")
V = TypeVar("V")


class Said(NamedTuple):
    """Pieces of what the twin says, one after the other; grows until it is sent."""

    turn_id: UUID
    pieces: list[str]


Event = TurnWrite | Said | ItemWrite | UsageWrite | SourceWrite


class _Call(NamedTuple):
    """A tool call that has no result yet."""

    turn_id: UUID | None
    name: str
    started_at: datetime


class Script:
    """The state of one recorder.

    Args:
        participant_id: who speaks, unless an utterance says otherwise.
        language: of the turns that say no other.
    """

    def __init__(self, participant_id: UUID | None = None, language: str | None = None) -> None:
        self.open: Turn | None = None
        """The turn that goes on."""
        self._last: Turn | None = None
        """The one before it."""
        self._participant_id = participant_id
        self._language = language
        self._turns: OrderedDict[UUID, Turn] = OrderedDict()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._early: tuple[dict[str, int | None], dict[str, Any]] = {}, {}
        """Stages that were measured before the first turn."""

    @property
    def open_id(self) -> UUID | None:
        """The id of the open turn."""
        return None if self.open is None else self.open.id

    def turn_for(self, turn_id: UUID | None) -> UUID:
        """Return the turn that a call is about: as given, else the open one, else the last.

        Raises:
            InvalidStateError: there is none.
        """
        turn = self.open or self._last
        if turn_id is None and turn is None:
            raise InvalidStateError("There is no turn yet: user_text and twin_text open one")
        return turn_id or turn.id  # type: ignore[union-attr]

    def may_be_cut(self, turn_id: UUID) -> bool:
        """Return whether a full turn was given more than it holds; not by this recorder alone."""
        turn = self._turns.get(turn_id)
        return turn is None or MAX_TEXT not in (turn.user_length, turn.twin_length)

    # Checks

    def check_user_text(self, text: str, turn_id: UUID | None, speaker: UUID | None) -> None:
        """Refuse an utterance that would make its turn's text too long."""
        turn = self._going_on(turn_id, speaker)
        if turn is not None and turn.user_length:
            _require_room(turn.user_length + len(SEPARATOR) + len(text), "user_text")

    def check_twin_text(self, text: str, turn_id: UUID | None) -> None:
        """Refuse a piece that would make its turn's text too long."""
        turn = self.open if turn_id is None else self._turns.get(turn_id)
        if turn is not None:
            _require_room(turn.twin_length + len(text), "twin_text")

    def check_heard(self, turn_id: UUID | None) -> None:
        """Refuse that something was heard of a turn in which the twin said nothing."""
        turn = self._turns.get(self.turn_for(turn_id))
        if turn is not None and not turn.twin_length:
            raise heard_without_twin_text()

    # Speech

    def user_text(
        self,
        text: str,
        at: datetime,
        *,
        turn_id: UUID | None = None,
        participant_id: UUID | None = None,
        language: str | None = None,
    ) -> list[Event]:
        """Append an utterance to the open turn, or open the next one with it."""
        turn = self._going_on(turn_id, participant_id)
        if turn is None:
            speaker = participant_id or self._participant_id
            return self._begin(
                at, turn_id, speaker, user_text=text, language=language or self._language
            )
        text = f"{SEPARATOR if turn.user_length else ''}{text}"
        turn.user_length += len(text)
        return [TurnWrite(turn_id=turn.id, user_text=text, language=language)]

    def twin_text(self, text: str, at: datetime, turn_id: UUID | None = None) -> list[Event]:
        """Append to what the twin says; opens a turn where none is open, as a greeting does."""
        turn = self.open if turn_id is None else self._turns.get(turn_id)
        if turn is not None:
            turn.twin_length += len(text)
            return [Said(turn.id, [text])]
        if turn_id is not None:
            return [Said(turn_id, [text])]
        return self._begin(at, None, self._participant_id, twin_text=text, language=self._language)

    def heard(
        self, text: str, turn_id: UUID | None, extra: Mapping[str, Any] | None = None
    ) -> list[Event]:
        """Replace what was heard of the twin's text."""
        target = self.turn_for(turn_id)
        turn = self._turns.get(target)
        if turn is not None:
            turn.heard_text = text
        return [TurnWrite(turn_id=target, heard_text=text, extra=extra)]

    def interrupted(
        self, at: datetime, heard: str | None, turn_id: UUID | None = None
    ) -> list[Event]:
        """Note that the participant cut in; what the twin still says belongs to the same turn."""
        turn = self._named(turn_id)
        if turn is None:
            return []
        turn.is_interrupted = True
        if heard is not None and turn.twin_length:
            turn.heard_text = heard
        return [turn.ending("interrupted", at, corrects=turn is not self.open)]

    def resumed(self, turn_id: UUID | None = None) -> list[Event]:
        """Take an interruption back: the last one, unless another turn was opened since."""
        turn = self._named(turn_id)
        if turn is None or not turn.is_interrupted:
            return []
        turn.is_interrupted, turn.heard_text = False, None
        status = "open" if turn is self.open else "completed"
        return [TurnWrite(turn_id=turn.id, status=status, corrects=True)]

    def done(
        self, at: datetime, status: str = "completed", turn_id: UUID | None = None
    ) -> list[Event]:
        """End a turn, the open one unless named; an interrupted one has ended already.

        The status of one that was ended by the next turn is corrected.
        """
        turn = self.open if turn_id is None else self._turns.get(turn_id)
        if turn is None:
            return []
        has_ended = turn is not self.open
        if not has_ended:
            self.open, self._last = None, turn
        return [] if turn.is_interrupted else [turn.ending(status, at, corrects=has_ended)]

    def finish(self, at: datetime, *, failed: bool = False) -> list[Event]:
        """End the open turn because the next one begins, or nothing follows.

        It is completed if the twin has answered.
        """
        answered = self.open is not None and self.open.twin_length and not failed
        return self.done(at, "completed" if answered else "abandoned")

    # What else there is of a turn

    def stage(
        self, timings: Mapping[str, int | None], extra: Mapping[str, Any], turn_id: UUID | None
    ) -> list[Event]:
        """Note how long stages took; before the first turn they are kept for that one."""
        turn = self.open or self._last
        target = turn_id or (None if turn is None else turn.id)
        if target is None:
            for known, given in zip(self._early, (timings, extra), strict=True):
                if len(known) < REMEMBERED:
                    known.update(given)
            return []
        return [TurnWrite(turn_id=target, timings=timings, extra=extra or None)]

    def item(self, turn_id: UUID | None, **values: Any) -> list[Event]:
        """Add an item to a turn: as given, else the open one, else to the session."""
        return [ItemWrite(turn_id=turn_id or self.open_id, **values)]

    def tool_call(
        self, turn_id: UUID | None, at: datetime, *, call_id: str, name: str, **values: Any
    ) -> list[Event]:
        """Add a tool call; its result will belong to the same turn."""
        target = turn_id or self.open_id
        _remember(self._calls, call_id, _Call(target, name, at))
        return self.item(
            target, kind="tool_call", call_id=call_id, name=name, started_at=at, **values
        )

    def tool_result(
        self, turn_id: UUID | None, at: datetime, *, call_id: str, **values: Any
    ) -> list[Event]:
        """Add a tool's result, with the name and the start of its call."""
        call = self._calls.pop(call_id, None)
        values |= {"kind": "tool_result", "call_id": call_id, "ended_at": at}
        if call is None:
            return self.item(turn_id, **values)
        values |= {"started_at": call.started_at, "ended_at": max(at, call.started_at)}
        values["name"] = values["name"] or call.name
        return [ItemWrite(turn_id=turn_id or call.turn_id, **values)]

    def _named(self, turn_id: UUID | None) -> Turn | None:
        """Return a turn of this recorder: as named, else the open one, else the last."""
        return self.open or self._last if turn_id is None else self._turns.get(turn_id)

    def _going_on(self, turn_id: UUID | None, participant_id: UUID | None) -> Turn | None:
        """Return the turn that an utterance continues; None if it opens the next one.

        Another speaker's utterance is a turn of its own, since a turn has one speaker, who can be
        erased. So is what the participant says after cutting in, or after a greeting.
        """
        if turn_id is not None:
            return self._turns.get(turn_id)
        turn = self.open
        if turn is None or turn.is_interrupted or not turn.user_length:
            return None
        speaker = participant_id or self._participant_id
        return turn if turn.participant_id == speaker else None

    def _begin(
        self, at: datetime, turn_id: UUID | None, participant_id: UUID | None, **said: str | None
    ) -> list[Event]:
        """End the open turn and open the next one."""
        before = self.finish(at)
        user_text, twin_text = said.get("user_text"), said.get("twin_text")
        timings, extra = self._early
        self._early = {}, {}
        turn = self.open = Turn(
            turn_id or uuid7(), participant_id, at, len(user_text or ""), len(twin_text or "")
        )
        _remember(self._turns, turn.id, turn)
        opening = TurnWrite(
            turn_id=turn.id,
            opens=True,
            status="open",
            started_at=at,
            participant_id=participant_id,
            timings=timings,
            extra=extra or None,
            **said,  # type: ignore[arg-type]
        )
        return [*before, opening]


def _remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)


def _require_room(length: int, field: str) -> None:
    if length > MAX_TEXT:
        raise InvalidInputError(
            f"{field} must have at most {MAX_TEXT} characters in a turn",
            field=field,
            limit=MAX_TEXT,
        )
