"""Turns made of what is said: pure bookkeeping over a recorder, told in the order of the frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.texts import storable
from digitwin.kernel.primitives.ids import uuid7

HeardBasis = Literal["words", "segments", "generated"]
"""How it is known what was heard: by spoken words, by spoken sentences, or only what was
generated."""

REMEMBERED: Final = 20
"""Interruptions, and tool calls without a result, that are kept."""


@dataclass(slots=True, eq=False)
class Turn:
    """The turn that goes on, or the last one."""

    id: UUID
    timestamp: str | None = None
    """Of the framework's user turn; None: the twin began."""
    has_said: bool = False
    is_done: bool = False
    awaits_words: bool = False
    """The twin answers words that are still being transcribed, as a realtime model does."""
    is_cut: bool = False
    heard: list[str] = field(default_factory=list)


class Turns:
    """Tells a recorder which turn things belong to."""

    def __init__(self, recorder: TurnRecorder) -> None:
        self._recorder = recorder
        self._turn: Turn | None = None
        self._cuts: dict[int, tuple[Turn | None, bool]] = {}
        """Interruptions on their way to the aggregator: the turn then, and whether it is cut."""
        self._basis: HeardBasis = "generated"
        self._is_generating = False
        self._is_answering = False
        """Whether the end of the answer has not reached the aggregator."""
        self._last_end: int | None = None
        self._is_speaking = False
        self._owes_answer = False
        """A tool has answered, and the model will."""
        self._tools: dict[str, UUID | None] = {}
        self.is_unheard = False
        """The participant began to speak, and no words have come."""
        self._begins_line = False

    @property
    def turn_id(self) -> UUID | None:
        """The turn that goes on, or the last one."""
        return None if self._turn is None else self._turn.id

    # The participant

    def user_begins(self) -> None:
        """The participant began to speak."""
        self.is_unheard = True
        if self._turn is not None:
            self._turn.awaits_words = False

    def user_said(self, text: str, timestamp: str | None) -> None:
        """The participant's words, with the time at which the framework's user turn began."""
        turn = self._turn
        goes_on = turn is not None and (
            turn.awaits_words or (bool(timestamp) and turn.timestamp == timestamp)
        )
        if turn is None or not goes_on:
            turn = Turn(uuid7())
        self._recorder.user_text(storable(text), turn_id=turn.id)
        turn.timestamp, turn.awaits_words = timestamp, False
        self._turn, self.is_unheard = turn, False
        if not goes_on:
            self._owes_answer = False

    # The twin

    def answer_begins(self) -> None:
        """A response of the model began."""
        self._is_generating, self._is_answering, self._owes_answer = True, True, False
        self.line_begins()

    def answer_was_generated(self, frame_id: int) -> None:
        """The model has ended its response; the end has yet to reach the aggregator."""
        if self._is_generating:
            self._is_generating, self._last_end = False, frame_id

    def answer_ends(self, frame_id: int) -> None:
        """The end of a response reaches the aggregator."""
        if frame_id == self._last_end:
            self._is_answering = False

    def line_begins(self) -> None:
        """What the twin says next is a line of its own."""
        self._begins_line = True
        if self._turn is not None and self._turn.is_cut:
            self._turn.is_done = True

    def twin_said(self, text: str) -> None:
        """Something that the twin says, heard or not."""
        text, turn = storable(text), self._turn
        if not text:
            return
        if turn is None or turn.is_done:
            self._recorder.turn_done()
            self._recorder.twin_text(text)
            opened = self._recorder.turn_id
            if opened is None:
                return
            self._turn = turn = Turn(opened, awaits_words=self.is_unheard)
        else:
            separator = "\n" if self._begins_line and turn.has_said else ""
            self._recorder.twin_text(separator + text, turn_id=turn.id)
        turn.has_said, self._begins_line = True, False

    def speaks(self) -> None:
        """The twin's voice is heard."""
        self._is_speaking = True

    def is_silent(self) -> None:
        """The twin's voice is not heard any more."""
        self._is_speaking = False
        self._end_if_whole()

    def heard_by(self, basis: HeardBasis) -> None:
        """Say how it is known what is heard: the voice's way, which does not change."""
        self._basis = basis

    def was_heard(self, text: str) -> None:
        """Something that the participant heard of the twin, as far as the framework knows."""
        turn = self._heard_turn()
        if turn is not None and text:
            turn.heard.append(storable(text))

    def committed(self, text: str) -> None:
        """What the context holds of an answer, which has ended."""
        turn = self._heard_turn()
        if turn is self._turn and (turn is None or not turn.has_said):
            self.twin_said(text)
        self.was_heard(text)
        if not self._cuts:
            self._is_answering = self._is_generating
            self._end_if_whole()

    # Interruptions

    def is_cut(self, frame_id: int) -> None:
        """An interruption began. The aggregator tells later what was heard, when it gets there;
        by then the next turn may have begun."""
        turn = self._turn
        goes_on = self._is_answering or self._is_speaking
        is_cut = turn is not None and turn.has_said and not turn.is_cut and goes_on
        self._cuts[frame_id] = turn, is_cut
        if len(self._cuts) > REMEMBERED:  # no aggregator passes them on
            del self._cuts[next(iter(self._cuts))]
        self._is_generating = self._is_answering = self._owes_answer = False
        self._last_end = None
        if turn is not None and is_cut:
            turn.is_cut = True
            self._recorder.interrupted(turn_id=turn.id)

    def was_cut(self, frame_id: int) -> None:
        """An interruption has passed the aggregator: what was heard is known."""
        turn, is_cut = self._cuts.pop(frame_id, (None, False))
        if turn is not None and is_cut:
            heard = " ".join(part.strip() for part in turn.heard if part.strip())
            self._recorder.heard(heard, basis=self._basis, turn_id=turn.id)

    def _heard_turn(self) -> Turn | None:
        """Return the turn of what reaches the aggregator: before the first cut that does."""
        for turn, _ in self._cuts.values():
            return turn
        return self._turn

    # Tools

    def tool_begins(self, call_id: str, name: str, arguments: Any) -> None:
        """A tool is called."""
        self._tools[call_id] = self.turn_id
        if len(self._tools) > REMEMBERED:
            del self._tools[next(iter(self._tools))]
        self._recorder.tool_call(name, arguments, call_id=call_id, turn_id=self.turn_id)

    def tool_ends(
        self, call_id: str, name: str, result: Any, *, is_error: bool, is_final: bool, asks: bool
    ) -> None:
        """A tool has answered; ``asks``: the model is run with it."""
        target = self._tools.get(call_id)
        if is_final:
            self._tools.pop(call_id, None)
        self._recorder.tool_result(call_id, result, is_error=is_error, name=name, turn_id=target)
        if asks and target == self.turn_id:
            self._owes_answer = True

    def _end_if_whole(self) -> None:
        turn = self._turn
        waits = self._is_answering or self._is_speaking or self._owes_answer or self._tools
        if turn is not None and turn.has_said and not waits and not (turn.is_done or turn.is_cut):
            turn.is_done = True
            self._recorder.turn_done(turn_id=turn.id)
