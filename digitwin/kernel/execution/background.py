"""Work that a handle repeats in the background, and its life cycle."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context

from digitwin.errors import ClosedError, DigiTwinError

NEVER = math.inf
"""As a pause: the next run comes only after :meth:`BackgroundTask.wake`."""


class BackgroundTask:
    """Runs an async callable repeatedly until it is stopped.

    It has an empty context of its own, so that it never runs inside a transaction or scope of
    the caller that started it. A run that fails is logged once and does not stop the loop;
    ``ClosedError`` does, silently. No task exists while the next pause is ``NEVER``.

    Args:
        run: one run. It may return the seconds until the next one, else ``interval`` applies.
        name: of the task, also used in log messages.
        logger: where failed runs are logged.
        interval: seconds from the end of a run to the start of the next.
        jitter: share by which each interval varies, so that several instances drift apart.
        first: seconds from :meth:`start` to the first run; None means ``interval``.
    """

    def __init__(
        self,
        run: Callable[[], Awaitable[float | None]],
        *,
        name: str,
        logger: logging.Logger,
        interval: float = NEVER,
        jitter: float = 0.0,
        first: float | None = None,
    ) -> None:
        self._run = run
        self._name = name
        self._logger = logger
        self._interval = interval
        self._jitter = jitter
        self._first = interval if first is None else first
        self._woken = asyncio.Event()
        self._stopped = False
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether a run is under way or scheduled."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Schedule the first run, unless one is scheduled already."""
        self._begin(self._first)

    def wake(self) -> None:
        """Run at once; if a run is under way, once more after it."""
        self._woken.set()
        self._begin(0.0)

    async def stop(self, *, finish: bool = False) -> None:
        """End the task and wait until it has ended; it cannot be started again.

        Args:
            finish: let a run under way finish, instead of cancelling it.
        """
        self._stopped = True
        if self._task is None or self._task is asyncio.current_task():
            return  # a run that stops its own task is the last one
        if finish:
            self._woken.set()
        else:
            self._task.cancel()
        await asyncio.wait([self._task])

    def _begin(self, pause: float) -> None:
        if not (self.active or self._stopped or pause == NEVER):
            self._task = asyncio.create_task(
                self._loop(pause), name=f"digitwin {self._name}", context=Context()
            )

    async def _loop(self, pause: float) -> None:
        while pause != NEVER or self._woken.is_set():
            await self._wait(pause)
            if self._stopped:
                return
            self._woken.clear()
            try:
                chosen = await self._run()
            except ClosedError:
                return
            except DigiTwinError as error:  # expected: its message says enough
                self._logger.error("%s failed, to be run again: %s", self._name, error)  # noqa: TRY400
                chosen = None
            except Exception:
                self._logger.exception("%s failed, to be run again", self._name)
                chosen = None
            pause = self._next_interval() if chosen is None else chosen

    async def _wait(self, pause: float) -> None:
        """Wait for the pause to pass or for ``wake`` or ``stop``."""
        if pause > 0 and not self._woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    def _next_interval(self) -> float:
        return self._interval * random.uniform(1 - self._jitter, 1 + self._jitter)  # noqa: S311 - spreads load
