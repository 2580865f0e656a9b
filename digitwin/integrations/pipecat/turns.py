"""Turns made of what is said: pure bookkeeping over a recorder, told in the order of the frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.fitting import Fitting
from digitwin.integrations.pipecat.turn import (
    REMEMBERED,
    Answer,
    HeardBasis,
    Note,
    Turn,
    flush,
    note_about,
    remember,
)
from digitwin.integrations.texts import storable
from digitwin.kernel.primitives.ids import uuid7


class Turns:
    """Tells a recorder which turn things belong to."""

    def __init__(self, recorder: TurnRecorder) -> None:
        self._recorder = recorder
        self._fitting = Fitting(recorder)
        self.turn: Turn | None = None
        """The turn that goes on, or the last one."""
        self.answer: Answer | None = None
        """What the twin says now, or said last."""
        self._answers: dict[int, Answer] = {}
        """Those on their way to the aggregator, by the frame that begins them."""
        self._lines: deque[Answer] = deque(maxlen=REMEMBERED)
        """Lines on their way to the context."""
        self._hearing: Answer | None = None
        """What has reached the aggregator, and is not in the context yet."""
        self._cuts: dict[int, tuple[Turn | None, bool]] = {}
        """Interruptions on their way to the aggregator: the turn then, and whether it is cut."""
        self._early: list[Note] = []
        """About the turn that the participant's words will open."""
        self.basis: HeardBasis = "generated"
        """How the voice tells what is heard."""
        self._is_generating = False
        self._is_answering = False
        """Whether the end of the answer has not reached the aggregator."""
        self._last_end: int | None = None
        self._is_speaking = False
        self.owes_answer = False
        """A tool has answered, and the model will."""
        self.waits_for_tools: Callable[[Turn], bool] = lambda _turn: False
        self.is_realtime = False
        """The model hears by itself, and answers before the words are transcribed."""
        self.is_unheard = False
        """The participant began to speak, and no words have come."""
        self._are_words_due = False
        """As ``is_unheard``, unless the framework said that none come."""
        self._user_speaks = False
        self._begins_line = False

    # The participant

    def user_begins(self) -> None:
        """The participant began to speak."""
        self.is_unheard = self._are_words_due = self._user_speaks = True
        if self.turn is not None:
            self.turn.awaits_words = False

    def user_ends(self) -> None:
        """The participant stopped."""
        self._user_speaks = False

    def has_no_words(self) -> None:
        """The framework has ended the participant's turn without any words."""
        if not self._user_speaks:
            self._are_words_due = False

    def words_come(self) -> None:
        """Something was transcribed: of a realtime model, all that tells that somebody spoke."""
        if not self.is_realtime:
            return
        turn = self.turn
        if turn is not None and turn.awaits_words:
            if self._is_answering:
                return
            turn.awaits_words = False
        self.is_unheard = self._are_words_due = True

    def user_said(self, text: str, timestamp: str | None) -> None:
        """The participant's words, with the time at which the framework's user turn began."""
        turn = self.turn
        goes_on = turn is not None and (
            turn.awaits_words or (bool(timestamp) and turn.timestamp == timestamp)
        )
        self.is_unheard = self._are_words_due = False
        if turn is None or not goes_on:
            if turn is not None:
                turn.is_done = True  # also if the recorder takes nothing now
            self.owes_answer = False
            turn = Turn(uuid7())
        self._recorder.user_text(self._fitting.text(text), turn_id=turn.id)
        if not goes_on:
            if self._recorder.turn_id != turn.id:
                return  # dropped: what the twin says opens a turn of its own
            self._opened(turn)
        turn.timestamp, turn.awaits_words = timestamp, False
        flush(self._recorder, self._early, turn)

    def user_goes_on(self, text: str) -> None:
        """The participant is still speaking after what they have said."""
        if self._user_speaks and self.turn is not None:
            self._recorder.user_text(self._fitting.text(text), turn_id=self.turn.id)

    # The twin

    def answer_begins(self, frame_id: int) -> None:
        """A response of the model began."""
        self._is_generating, self._is_answering, self.owes_answer = True, True, False
        self.answer = self._begun()
        remember(self._answers, frame_id, self.answer)

    def answer_arrives(self, frame_id: int) -> None:
        """The beginning of a response reaches the aggregator."""
        self._hearing = self._answers.pop(frame_id, None)

    def answer_was_generated(self, frame_id: int) -> None:
        """The model has ended its response; the end has yet to reach the aggregator."""
        if self._is_generating:
            self._is_generating, self._last_end = False, frame_id

    def answer_ends(self, frame_id: int) -> None:
        """The end of a response reaches the aggregator."""
        if frame_id == self._last_end:
            self._is_answering = False

    def line(self, text: str, *, reaches_context: bool) -> None:
        """The twin says a line of the service's, which may be between those of the model."""
        self._begins_line = True
        if not self._is_generating:
            self.answer = self._begun()
            if reaches_context:
                self._lines.append(self.answer)
        self.twin_said(text)

    def line_arrives(self) -> None:
        """The end of a line reaches the aggregator."""
        self._hearing = self._lines.popleft() if self._lines else None

    def twin_said(self, text: str, *, by_voice: bool = False) -> None:
        """Something that the twin says, heard or not; ``by_voice``: of no known answer."""
        if not (text := storable(text)):
            return
        if self.answer is None or (by_voice and not self._is_generating):
            going_on = self._goes_on()
            if self.answer is None or self.answer.turn is not going_on:
                self.answer = Answer(going_on)
        self._say(self.answer, text)

    def _say(self, answer: Answer, text: str) -> None:
        turn = answer.turn or self._goes_on()
        if turn is None:
            self._recorder.turn_done()
            fitting = self._fitting.text(text)
            self._recorder.twin_text(fitting)
            opened = self._recorder.turn_id
            if opened is None:
                return
            turn = Turn(opened, awaits_words=self._are_words_due or self.is_realtime)
            turn.length = len(fitting)
            self._opened(turn)
        else:
            said = f"\n{text}" if self._begins_line and turn.has_said else text
            fitting = self._fitting.text(said, max(0, MAX_TEXT - turn.length))
            self._recorder.twin_text(fitting, turn_id=turn.id)
            turn.length += len(fitting)
        turn.has_said = answer.has_said = True
        self._begins_line = False
        self._settle(answer, turn)

    def speaks(self) -> None:
        """The twin's voice is heard."""
        self._is_speaking = True

    def is_silent(self) -> None:
        """The twin's voice is not heard any more."""
        self._is_speaking = False
        self.end_if_whole()

    def was_heard(self, text: str) -> None:
        """Something that the participant heard of the twin, as far as the framework knows."""
        if turn := self._heard_turn():
            turn.heard.append(storable(text).strip())

    def committed(self, text: str) -> None:
        """What the context holds of an answer, which has ended."""
        answer, turn = self._hearing, self._heard_turn()
        if answer is None and turn is self.turn and (turn is None or not turn.has_said):
            self.twin_said(text, by_voice=True)
        elif answer is not None and not answer.has_said:
            self._say(answer, storable(text))
        self.was_heard(text)
        self._hearing = None
        if not self._cuts:
            self._is_answering = self._is_generating
            self.end_if_whole()

    # Interruptions

    def is_cut(self, frame_id: int) -> None:
        """An interruption began. The aggregator tells later what was heard, when it gets there;
        by then the next turn may have begun."""
        hearing = None if self._hearing is None else self._hearing.turn
        turn = self.turn if hearing is None or hearing.is_done else hearing
        goes_on = self._is_answering or self._is_speaking or self.owes_answer
        is_cut = turn is not None and not turn.is_cut and (goes_on or self.waits_for_tools(turn))
        remember(self._cuts, frame_id, (turn, is_cut))
        self._is_generating = self._is_answering = self.owes_answer = False
        self._last_end = None
        if turn is not None and is_cut:
            self._cut(turn)

    def was_cut(self, frame_id: int) -> None:
        """An interruption has passed the aggregator: what was heard is known."""
        turn, is_cut = self._cuts.pop(frame_id, (None, False))
        self._hearing = None
        self._lines.clear()
        if turn is not None and is_cut:
            self._cut(turn)  # the model may have written its first word since
            if turn.has_said:
                heard = " ".join(filter(None, turn.heard))
                self._recorder.heard(self._fitting.text(heard), basis=self.basis, turn_id=turn.id)

    def _cut(self, turn: Turn) -> None:
        if not turn.is_cut and (turn.has_said or turn.has_tools):
            turn.is_cut = True
            self._recorder.interrupted(turn_id=turn.id)

    # What else there is of a turn

    def about(self, answer: Answer | None, note: Note) -> None:
        """Note something about an answer, once it has a turn."""
        if answer is None:
            note_about(self.turn, self._early, note)
        else:
            note_about(answer.turn, answer.notes, note)

    def about_words(self, note: Note) -> None:
        """Note something about what the participant says now, or said last."""
        note_about(None if self._are_words_due else self.turn, self._early, note)

    def end(self) -> None:
        """Note what waited for a turn: none will begin."""
        self._begun()
        flush(self._recorder, self._early, None)

    def end_if_whole(self) -> None:
        """End the turn, if the twin has said all of it."""
        turn = self.turn
        if turn is None or not turn.has_said or turn.is_done or turn.is_cut:
            return
        waits = self._is_answering or self._is_speaking or self.owes_answer
        if not waits and not self.waits_for_tools(turn):
            turn.is_done = True
            self._recorder.turn_done(turn_id=turn.id)

    def _begun(self) -> Answer:
        """Return an answer that begins now."""
        self._begins_line = True
        if self.answer is not None:
            self._early.extend(self.answer.notes)  # it has said nothing
            self.answer.notes = []
        return Answer(self._goes_on())

    def _goes_on(self) -> Turn | None:
        """Return the turn that an answer belongs to; None: it opens the next one."""
        turn = self.turn
        if turn is None or turn.is_done or turn.is_cut:
            return None
        return None if self._are_words_due and not turn.awaits_words else turn

    def _opened(self, turn: Turn) -> None:
        self.turn = turn
        if self.answer is not None and self.answer.turn is None:
            self._settle(self.answer, turn)

    def _settle(self, answer: Answer, turn: Turn) -> None:
        answer.turn = turn
        flush(self._recorder, answer.notes, turn)

    def _heard_turn(self) -> Turn | None:
        """Return the turn of what reaches the aggregator: before the first cut that does."""
        if self._hearing is not None and self._hearing.turn is not None:
            return self._hearing.turn
        for turn, _ in self._cuts.values():
            return turn
        return self.turn
