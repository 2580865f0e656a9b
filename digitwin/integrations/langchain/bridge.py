"""Calls from any thread and any event loop, run on the handle's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent import futures
from typing import Any, Final, TypeVar

from digitwin.errors import ClosedError, InvalidStateError

T = TypeVar("T")

LOOK: Final = 0.5
"""Seconds between two looks whether the loop still runs: what it was sent last may never begin."""


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
            ClosedError: the handle's loop does not run, or ends before the call.
        """
        if asyncio.get_running_loop() is self._loop:
            return await work
        sent = self._send(work)
        waiting = asyncio.wrap_future(sent)
        try:
            while not (await asyncio.wait([waiting], timeout=LOOK))[0]:
                self._require_running()
        finally:
            waiting.cancel()  # without effect once it has its outcome
        _require_outcome(sent)
        return waiting.result()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a call, and block this thread until it has ended.

        Raises:
            InvalidStateError: it is the loop's own thread.
            ClosedError: the handle's loop does not run, or ends before the call.
        """
        if _running() is self._loop:
            work.close()
            raise InvalidStateError("Called on the handle's own event loop: use the async method")
        sent = self._send(work)
        try:
            while not futures.wait([sent], timeout=LOOK).done:
                self._require_running()
        finally:
            sent.cancel()  # without effect once it has its outcome
        _require_outcome(sent)
        return sent.result()

    def _send(self, work: Coroutine[Any, Any, T]) -> futures.Future[T]:
        try:
            self._require_running()
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except (ClosedError, RuntimeError):  # the loop was closed in between
            work.close()
            raise _ended() from None

    def _require_running(self) -> None:
        if not self._loop.is_running():
            raise _ended()


def _require_outcome(sent: futures.Future[Any]) -> None:
    """Refuse a call that a loop cancelled as it ended: its caller was not cancelled."""
    if sent.cancelled():
        raise _ended()


def _ended() -> ClosedError:
    return ClosedError("The event loop of the handle has ended, or does not run")


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
