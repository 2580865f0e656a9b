"""Which turn each speech of the agent belongs to.

LiveKit knows speeches and messages, digitwin knows turns: what the participant said and what the
twin answered. A turn is opened by a message of the participant, or by a speech that answers none,
such as a greeting. It ends with the last of its speeches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from livekit.agents.voice import SpeechHandle, agent_activity

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.recorder.inputs import EndStatus
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.fitting import Fitting
from digitwin.kernel.primitives.ids import uuid7

REMEMBERED: Final = 1000
"""Speeches that late figures and results can still belong to."""
SEPARATOR: Final = "\n"
"""Between the messages of one turn."""

_SPEAKER = getattr(agent_activity, "_SpeechHandleContextVar", None)


def own_speech() -> SpeechHandle | None:
    """Return the speech that the running task works for, if any.

    The framework keeps it in a context variable of its own.
    """
    handle: SpeechHandle | None = None if _SPEAKER is None else _SPEAKER.get(None)
    return handle


@dataclass(eq=False, slots=True)
class Turn:
    """A turn of the recorder."""

    id: UUID
    awaits_words: bool = False
    """It was begun by a realtime model's answer: the words that it answers come later."""
    began: float = field(default_factory=time.time)
    asked: int = 0
    """Characters that the participant said."""
    said: int = 0
    """Characters that the twin said."""
    is_full: bool = False
    """It said more than a turn holds."""
    has_tools: bool = False
    is_handing_over: bool = False
    """The next agent's first words belong to it, too."""
    spoken_by: tuple[str, int] | None = None
    """The speech and the step that spoke last."""
    heard: list[str] = field(default_factory=list)
    """The messages that were heard, whole or cut."""
    is_cut: bool = False
    """Not all of it was heard."""
    live: set[Speech] = field(default_factory=set)
    stages: set[str] = field(default_factory=set)
    """Those that were measured."""

    @property
    def has_text(self) -> bool:
        """Whether the twin has said something."""
        return self.said > 0

    @property
    def is_taken(self) -> bool:
        """Whether what the participant says next is another turn."""
        return self.has_text or any(not s.handle.interrupted or s.generated for s in self.live)


@dataclass(eq=False, slots=True)
class Speech:
    """A speech of the agent, of one step or of several with tools between them."""

    handle: SpeechHandle
    turn: Turn | None = None
    is_automatic: bool = False
    """Begun by a realtime model by itself, which tells later what it answers."""
    step: int = 0
    is_spoken: bool = False
    generated: list[str] = field(default_factory=list)
    """What the model has written in this step."""
    transcribed: list[str] = field(default_factory=list)
    """What of it went to the voice."""
    awaiting: list[Callable[[UUID | None], None]] = field(default_factory=list)
    """What is told once its turn is known."""

    def begin_step(self) -> int:
        """Return the number of the step that goes on, and forget the texts of the one before."""
        if self.step != self.handle.num_steps:
            self.step = self.handle.num_steps
            self.generated, self.transcribed = [], []
        return self.step

    @property
    def unspoken(self) -> str:
        """What the model has written in this step beyond what went to the voice."""
        generated, transcribed = "".join(self.generated), "".join(self.transcribed)
        return generated[len(transcribed) :] if generated.startswith(transcribed) else ""


class Speeches:
    """The speeches of one call, told to its recorder."""

    def __init__(self, recorder: TurnRecorder) -> None:
        self._recorder = recorder
        self._fitting = Fitting(recorder)
        self._speeches: dict[SpeechHandle, Speech] = {}
        self._latest: Turn | None = None
        self.is_over = False
        """Whether nothing more is recorded of those that go on."""

    def of(self, handle: SpeechHandle) -> Speech:
        """Return what is known of a speech."""
        speech = self._speeches.get(handle)
        if speech is None:
            speech = self._speeches[handle] = Speech(handle)
            handle.add_done_callback(self._done)
            if len(self._speeches) > REMEMBERED:
                del self._speeches[next(iter(self._speeches))]
        return speech

    @property
    def open(self) -> Turn | None:
        """The turn that goes on."""
        turn = self._latest
        return turn if turn is not None and turn.id == self._recorder.turn_id else None

    def turn_of(self, handle: SpeechHandle | None) -> Turn | None:
        """Return the turn of a speech, else the open one."""
        speech = None if handle is None else self._speeches.get(handle)
        return (speech and speech.turn) or self.open

    def with_turn(self, handle: SpeechHandle | None, tell: Callable[[UUID | None], None]) -> None:
        """Call ``tell`` with the turn of a speech, as soon as it has one, else with the open one.

        A model may fail, and a message without words be added, before the turn begins.
        """
        speech, turn = None if handle is None else self.of(handle), self.open
        if speech is not None and speech.turn is not None:
            tell(speech.turn.id)
        elif turn is not None and not turn.is_taken:
            tell(turn.id)
        elif speech is not None and not speech.handle.done():
            speech.awaiting.append(tell)
        else:
            tell(None)

    def asked(
        self,
        text: str,
        handle: SpeechHandle | None,
        language: str | None = None,
        spoken_at: float = 0.0,
    ) -> None:
        """Note what the participant said.

        Args:
            handle: the speech that answers it, if that is known.
            spoken_at: when they began to say it, if that is known.
        """
        speech, late = None if handle is None else self.of(handle), self._latest
        if handle is None and late is not None and late.awaits_words and spoken_at < late.began:
            self._ask(late, text, language, turn_id=late.id)
            late.awaits_words = False
            return
        going_on = self.open
        if going_on is not None and going_on.is_taken:
            self._ask(None, text, language, turn_id=uuid7())
        else:
            self._ask(going_on, text, language)
        turn = self._opened()
        if speech is not None and not handle.done():  # type: ignore[union-attr]
            self._join(speech, turn)

    def _ask(
        self, turn: Turn | None, text: str, language: str | None, turn_id: UUID | None = None
    ) -> None:
        """Add to what the participant said in a turn, or open one."""
        length = 0 if turn is None or not turn.asked else turn.asked + len(SEPARATOR)
        said = self._fitting.text(text, max(0, MAX_TEXT - length))
        if not said:
            return  # the turn is full
        self._recorder.user_text(said, language=language, turn_id=turn_id)
        if turn_id is None and turn is not self._opened():  # the recorder has opened another one
            turn, length = self._opened(), 0
        if turn is not None:
            turn.asked = length + len(said)

    def said(self, handle: SpeechHandle, step: int, text: str) -> None:
        """Note a piece of what a speech says."""
        speech = self.of(handle)
        if self.is_over or not text:
            return
        turn = speech.turn or self.open
        if turn is None:
            turn = self._say(None, text)
            turn.awaits_words = speech.is_automatic
        else:
            is_next = turn.has_text and turn.spoken_by != (handle.id, step)
            self._say(turn, f"{SEPARATOR if is_next else ''}{text}")
        speech.is_spoken = True
        turn.spoken_by = handle.id, step
        speech.transcribed.append(text)
        self._join(speech, turn)

    def _say(self, turn: Turn | None, text: str) -> Turn:
        """Add to what the twin says in a turn, or open one; nothing once the turn is full."""
        length = 0 if turn is None else turn.said
        if turn is None or not turn.is_full:
            piece = self._fitting.text(text, MAX_TEXT - length)
            self._recorder.twin_text(piece, turn_id=None if turn is None else turn.id)
            turn = turn or self._opened()
            turn.said = length + len(piece)
            turn.is_full = len(piece) < len(text)
        return turn

    def heard(self, handle: SpeechHandle, text: str, *, is_cut: bool) -> None:
        """Note a message of a speech: what was heard of it, if it was cut off."""
        speech = self.of(handle)
        step = speech.begin_step()
        if not speech.transcribed:  # its text passed unseen
            self.said(handle, step, speech.unspoken or text)
        if speech.turn is not None:
            speech.turn.heard.append(text)
            speech.turn.is_cut |= is_cut

    def resumed(self, handle: SpeechHandle | None) -> None:
        """Note that a speech goes on after a false interruption."""
        turn = self.turn_of(handle)
        self._recorder.resumed(turn_id=None if turn is None else turn.id)

    def _opened(self) -> Turn:
        """Return the recorder's open turn."""
        turn_id = self._recorder.turn_id
        assert turn_id is not None
        if self._latest is None or self._latest.id != turn_id:
            self._latest = Turn(turn_id)
        return self._latest

    def _join(self, speech: Speech, turn: Turn) -> None:
        speech.turn = turn
        turn.live.add(speech)
        self._tell(speech, turn.id)
        if speech.is_spoken:
            turn.is_handing_over = False

    def _tell(self, speech: Speech, turn_id: UUID | None) -> None:
        awaiting, speech.awaiting = speech.awaiting, []
        for tell in awaiting:
            tell(turn_id)

    def _done(self, handle: SpeechHandle) -> None:
        with self._recorder.guarding("speech_done"):
            speech = self.of(handle)
            is_alone = speech.turn is None or speech.turn.live <= {speech}
            if handle.interrupted and handle.scheduled and is_alone:
                self.said(handle, speech.step, speech.unspoken)
            speech.generated, speech.transcribed = [], []
            self._tell(speech, None)
            if speech.turn is not None and not self.is_over:
                speech.turn.live.discard(speech)
                self._end(speech, speech.turn)

    def _end(self, speech: Speech, turn: Turn) -> None:
        """End a speech's turn, if it was the last one in it."""
        if speech.handle.interrupted and any(not s.handle.interrupted for s in turn.live):
            turn.is_cut |= speech.is_spoken  # the others go on
        elif speech.handle.interrupted:
            if turn.has_text or turn.has_tools:
                heard = self._heard(turn) if turn.has_text else None
                self._recorder.interrupted(heard=heard, turn_id=turn.id)
                self._recorder.turn_done(turn_id=turn.id)
        elif not turn.live and not turn.is_handing_over:
            if turn.is_cut:
                self._recorder.heard(self._heard(turn), turn_id=turn.id)
            is_answered = turn.has_text or (turn.has_tools and speech.handle.exception() is None)
            status: EndStatus = "completed" if is_answered else "abandoned"
            self._recorder.turn_done(status=status, turn_id=turn.id)

    def _heard(self, turn: Turn) -> str:
        return self._fitting.text(SEPARATOR.join(turn.heard))
