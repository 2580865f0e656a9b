"""Calls from any thread and any event loop, run on the handle's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from digitwin.errors import InvalidStateError

T = TypeVar("T")


class Bridge:
    """Made on the handle's event loop.

    Raises:
        InvalidStateError: no event loop is running.
    """

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise InvalidStateError("Make it where the handle is open, on its loop") from None

    async def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a call, on whichever loop it is awaited.

        Raises:
            InvalidStateError: the handle's loop has ended.
        """
        if asyncio.get_running_loop() is self._loop:
            return await work
        self._refuse_if_ended(work)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a call, and block this thread until it has ended.

        Raises:
            InvalidStateError: it is the loop's own thread, or the loop has ended.
        """
        if _running() is self._loop:
            work.close()
            raise InvalidStateError("Called on the handle's own event loop: use the async method")
        self._refuse_if_ended(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _refuse_if_ended(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._loop.is_closed():
            work.close()
            raise InvalidStateError("The event loop of the handle has ended")


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
