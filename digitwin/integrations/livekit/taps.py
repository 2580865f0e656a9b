"""Taps where the text of an agent passes, put on the agent object and taken off again.

LiveKit tells what was heard of an interrupted speech, not what was generated. The text passes
through two methods of the agent: ``llm_node`` (what the model writes) and ``transcription_node``
(what goes to the voice, of the model, of ``say`` or of a realtime model). Both are wrapped on the
instance, so that no agent must derive from ours.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any
from weakref import WeakSet

from livekit.agents import Agent
from livekit.agents.llm import ChatChunk

Listen = Callable[[str], None]
Begin = Callable[[], Listen]
"""Called in the task of a speech, where one of its texts begins."""


class Taps:
    """The taps of one call.

    Args:
        transcribed: begins a text that goes to the voice.
        generated: begins a text of the model.
    """

    def __init__(self, *, transcribed: Begin, generated: Begin) -> None:
        self._nodes = {"transcription_node": transcribed, "llm_node": generated}
        self._agents: WeakSet[Agent] = WeakSet()

    def put_on(self, agent: Agent) -> None:
        """Listen to an agent, from its next speech on."""
        if agent in self._agents:
            return
        for name, begin in self._nodes.items():
            setattr(agent, name, _Tap(getattr(agent, name), begin))
        self._agents.add(agent)

    def take_off(self) -> None:
        """Listen to no agent any more."""
        for agent in list(self._agents):
            for name, begin in self._nodes.items():
                tap = vars(agent).get(name)
                if isinstance(tap, _Tap) and tap.begin is begin:
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
