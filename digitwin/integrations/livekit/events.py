"""The events of an agent session, told to the recorder of its call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from livekit.agents import (
    AgentFalseInterruptionEvent,
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import AgentHandoff, ChatMessage
from livekit.agents.metrics import AgentSessionUsage
from livekit.agents.voice.events import SessionUsageUpdatedEvent

from digitwin.conversations.content.fields import ItemKind
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.integrations.fitting import Fitting
from digitwin.integrations.livekit.contents import media
from digitwin.integrations.livekit.figures import Used, stages
from digitwin.integrations.livekit.speeches import Speeches, Turn, own_speech
from digitwin.integrations.livekit.taps import HOOK, Listen
from digitwin.integrations.livekit.tools import Tools
from digitwin.integrations.livekit.words import Words

MAX_PROVIDER: Final = 100
"""Characters of a provider's name."""
AWAY: Final = "away"
"""The state of a participant who has been silent for long."""


class Events:
    """What each event means.

    Args:
        session: whose events they are.
        recorder: of the call.
        states: whether every change of a state is recorded.
    """

    def __init__(
        self, session: AgentSession[Any], recorder: TurnRecorder, *, states: bool = False
    ) -> None:
        self._session = session
        self._recorder = recorder
        self._speeches = Speeches(recorder)
        self._fitting = Fitting(recorder)
        tools = Tools(recorder, self._speeches)
        self._words = Words()
        self._used = Used(session.usage)
        self._handlers: dict[str, Callable[[Any], None]] = {
            "speech_created": self._speech_created,
            "user_input_transcribed": self._transcribed,
            "conversation_item_added": self._item_added,
            "tool_execution_updated": tools.updated,
            "function_tools_executed": tools.executed,
            "session_usage_updated": self._usage_updated,
            "agent_false_interruption": self._false_interruption,
            "user_state_changed": self._user_state_changed,
            "error": self._error,
        }
        if states:
            self._handlers["agent_state_changed"] = self._agent_state_changed
        self._states = states
        self._guarded = {name: self._guard(name) for name in self._handlers}

    def listen(self) -> None:
        """Be told of what happens from now on."""
        for name, handler in self._guarded.items():
            self._session.on(name, handler)  # type: ignore[arg-type]

    def leave(self) -> None:
        """Be told nothing more; what no message has contained is recorded."""
        for name, handler in self._guarded.items():
            self._session.off(name, handler)  # type: ignore[arg-type]
        with self._recorder.guarding("close"):
            self._missed(self._words.left())
        with self._recorder.guarding("session_usage_updated"):
            self._use(self._session.usage)
        self._speeches.is_over = True

    # Texts that pass

    def transcribing(self) -> Listen:
        """Begin a text that goes to the voice, of the speech that the task works for."""
        handle = own_speech() or self._session.current_speech
        if handle is None:
            return _ignore
        step = self._speeches.of(handle).begin_step()

        def listen(text: str) -> None:
            with self._recorder.guarding("transcription_node"):
                self._speeches.said(handle, step, text)

        return listen

    def generating(self) -> Listen:
        """Begin a text of the model, for the speech that the task works for."""
        handle = own_speech()
        if handle is None:
            return _ignore
        speech = self._speeches.of(handle)
        speech.begin_step()
        generated = speech.generated
        return lambda text: generated.append(text) if text else None

    def showing(self, message: ChatMessage) -> Callable[[bool], None]:
        """Note that the agent may edit or drop this message."""
        said, left = "", None
        with self._recorder.guarding(HOOK):
            said = message.raw_text_content or ""
            left = self._words.show(said)

        def ended(is_dropped: bool) -> None:
            with self._recorder.guarding(HOOK):
                if left is not None:  # what was dropped was said all the same
                    left(said if is_dropped else message.raw_text_content or "")

        return ended

    # Events

    def _guard(self, name: str) -> Callable[[Any], None]:
        handler = self._handlers[name]

        def guarded(event: Any) -> None:
            with self._recorder.guarding(name):
                handler(event)

        return guarded

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        speech = self._speeches.of(event.speech_handle)
        speech.is_automatic = not event.user_initiated

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            language = self._fitting.name(event.language or "")
            self._words.transcribed(event.transcript, language, event.speaker_id)

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, AgentHandoff):
            self._handed_over(item)
        elif isinstance(item, ChatMessage) and item.role == "user":
            if item.text_content:
                self._asked(item, item.text_content)
            for kind, described in media(item):
                self._shown(kind, described)
        elif isinstance(item, ChatMessage) and item.role == "assistant" and item.text_content:
            self._answered(item, item.text_content)

    def _asked(self, message: ChatMessage, text: str) -> None:
        language = None
        if message.transcript_confidence is not None:  # spoken, not typed
            language = self._words.language
            self._missed(self._words.before(text))
        spoken_at = message.metrics.get("started_speaking_at", 0.0)
        self._speeches.asked(text, own_speech(), language, spoken_at)
        self._measured(message, self._speeches.open)
        if message.transcript_confidence is not None and (speakers := self._words.speakers()):
            names = [self._fitting.name(speaker) for speaker in speakers]
            self._recorder.item(
                "custom", {"speaker_ids": names}, name="speaker", turn_id=self._turn_id()
            )

    def _shown(self, kind: ItemKind, described: dict[str, Any]) -> None:
        payload = self._fitting.payload(described)

        def tell(turn_id: UUID | None) -> None:
            self._recorder.item(kind, payload, turn_id=turn_id)

        self._speeches.with_turn(own_speech(), tell)

    def _answered(self, message: ChatMessage, text: str) -> None:
        handle = own_speech() or self._session.current_speech
        if handle is None:
            self._recorder.twin_text(self._fitting.text(text))
            return
        self._speeches.heard(handle, text, is_cut=message.interrupted)
        self._measured(message, self._speeches.turn_of(handle))

    def _missed(self, text: str) -> None:
        if text:
            self._speeches.asked(text, None, self._words.language)

    def _measured(self, message: ChatMessage, turn: Turn | None) -> None:
        """Note how long the stages took; the first message of a turn tells it."""
        if turn is None:
            return
        for stage, ms in stages(message.metrics):
            if stage not in turn.stages:
                turn.stages.add(stage)
                self._recorder.stage(stage, ms, turn_id=turn.id)

    def _handed_over(self, handoff: AgentHandoff) -> None:
        if handoff.old_agent_id is None:  # the session starts with its first agent
            self._used.start()
            return
        self._recorder.item(
            "handoff",
            {"from": self._fitting.name(handoff.old_agent_id)},
            name=self._fitting.name(handoff.new_agent_id),
            item_id=self._fitting.name(handoff.id),
            turn_id=self._turn_id(),
        )

    def _usage_updated(self, event: SessionUsageUpdatedEvent) -> None:
        self._use(event.usage)

    def _use(self, usage: AgentSessionUsage) -> None:
        for kind, provider, model, counts in self._used.since(usage):
            self._recorder.usage(
                kind=kind,
                provider=(self._fitting.name(provider) or "")[:MAX_PROVIDER] or None,
                model=self._fitting.name(model),
                turn_id=self._turn_id(),
                **counts,
            )

    def _false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        if event.resumed:
            self._speeches.resumed(own_speech() or self._session.current_speech)

    def _user_state_changed(self, event: UserStateChangedEvent) -> None:
        if self._states or AWAY in (event.old_state, event.new_state):
            self._recorder.item("custom", {"state": event.new_state}, name="user_state")

    def _agent_state_changed(self, event: AgentStateChangedEvent) -> None:
        self._recorder.item("custom", {"state": event.new_state}, name="agent_state")

    def _error(self, event: ErrorEvent) -> None:
        error = event.error
        cause = getattr(error, "error", error)
        payload = {
            "source": getattr(error, "type", None),
            "error": type(cause).__name__,
            "recoverable": getattr(error, "recoverable", None),
        }

        def tell(turn_id: UUID | None) -> None:
            self._recorder.item("custom", payload, name="error", is_error=True, turn_id=turn_id)

        self._speeches.with_turn(own_speech(), tell)

    def _turn_id(self) -> UUID | None:
        turn = self._speeches.turn_of(own_speech())
        return None if turn is None else turn.id


def _ignore(text: str) -> None:
    """Listen to a text of no speech."""
