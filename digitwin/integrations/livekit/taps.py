"""Taps where the text of an agent passes, put on the agent object and taken off again.

LiveKit tells what was heard of an interrupted speech, not what was generated. The text passes
through two methods of the agent: ``llm_node`` (what the model writes) and ``transcription_node``
(what goes to the voice, of the model, of ``say`` or of a realtime model). A third one,
``on_user_turn_completed``, may edit or drop what the participant said. They are wrapped on the
instance, so that no agent must derive from ours.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Final
from weakref import WeakSet

from livekit.agents import Agent
from livekit.agents.llm import ChatChunk, ChatMessage

Listen = Callable[[str], None]
Begin = Callable[[], Listen]
"""Called in the task of a speech, where one of its texts begins."""
Show = Callable[[ChatMessage], Callable[[bool], None]]
"""Called before an agent may edit a message; what it returns, after it: was the message dropped?"""


HOOK: Final = "on_user_turn_completed"


class Taps:
    """The taps of one call.

    Args:
        transcribed: begins a text that goes to the voice.
        generated: begins a text of the model.
        shown: is told of a message that the agent may edit.
    """

    def __init__(self, *, transcribed: Begin, generated: Begin, shown: Show) -> None:
        self._nodes = {"transcription_node": transcribed, "llm_node": generated}
        self._shown = shown
        self._agents: WeakSet[Agent] = WeakSet()

    def put_on(self, agent: Agent) -> None:
        """Listen to an agent, from its next speech on."""
        if agent in self._agents:
            return
        for name, begin in self._nodes.items():
            setattr(agent, name, _Tap(getattr(agent, name), begin))
        setattr(agent, HOOK, _Hook(getattr(agent, HOOK), self._shown))
        self._agents.add(agent)

    def take_off(self) -> None:
        """Listen to no agent any more."""
        for agent in list(self._agents):
            for name, begin in (*self._nodes.items(), (HOOK, self._shown)):
                tap = vars(agent).get(name)
                if isinstance(tap, _Tap | _Hook) and tap.begin is begin:
                    delattr(agent, name)
        self._agents.clear()


class _Tap:
    """A method of an agent whose texts are told while they pass."""

    def __init__(self, node: Callable[..., Any], begin: Begin) -> None:
        self._node, self.begin = node, begin

    def __call__(self, *args: Any, **options: Any) -> Any:
        passing = self._node(*args, **options)
        if passing is None:
            return None
        listen = self.begin()
        return _awaited(passing, listen) if inspect.iscoroutine(passing) else _told(passing, listen)


class _Hook:
    """A method of an agent that may edit a message, or stop the answer to it."""

    def __init__(self, hook: Callable[..., Awaitable[None]], begin: Show) -> None:
        self._hook, self.begin = hook, begin

    async def __call__(self, *args: Any, **options: Any) -> None:
        left = self.begin(options["new_message"] if "new_message" in options else args[-1])
        is_dropped = True
        try:
            await self._hook(*args, **options)
            is_dropped = False
        finally:
            left(is_dropped)


async def _awaited(passing: Any, listen: Listen) -> Any:
    return _told(await passing, listen)


def _told(passing: Any, listen: Listen) -> Any:
    if isinstance(passing, AsyncIterable):
        return _stream(passing, listen)
    listen(_text(passing))
    return passing


async def _stream(passing: AsyncIterable[Any], listen: Listen) -> AsyncIterator[Any]:
    try:
        async for piece in passing:
            listen(_text(piece))
            yield piece
    finally:
        close = getattr(passing, "aclose", None)
        if close is not None:
            await close()


def _text(piece: Any) -> str:
    if isinstance(piece, ChatChunk):
        return (piece.delta.content if piece.delta else None) or ""
    return piece if isinstance(piece, str) else ""
