"""Work that a handle repeats in the background, as long as it is open."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import Context

from digitwin.errors import ClosedError, DigiTwinError

log = logging.getLogger("digitwin.maintenance")

JITTER = 0.1
"""How much shorter or longer than the interval a pause may be, so that instances drift apart."""


class Caretaker:
    """Runs upkeep again and again in the background, as long as its handle is open.

    Args:
        run: one run of upkeep.
        interval: seconds between the runs; None means never.
        work: what it is, in a word for the log.
        soon: the first run comes somewhere within the first interval, else after it.
    """

    def __init__(
        self,
        run: Callable[[], Awaitable[object]],
        interval: float | None,
        *,
        work: str = "Upkeep",
        soon: bool = True,
    ) -> None:
        self._run = run
        self._interval = interval
        self._work = work
        self._soon = soon
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin.

        The task inherits nothing: no transaction and no scope of whoever opened the handle.
        """
        if self._interval and self._task is None:
            self._task = asyncio.create_task(
                self._go_on(self._interval),
                name=f"digitwin {self._work.lower()}",
                context=Context(),
            )

    async def stop(self) -> None:
        """End it, also in the middle of a run, and wait until it has ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _go_on(self, interval: float) -> None:
        spread = random.random() if self._soon else 1 + JITTER * random.random()  # noqa: S311
        pause, wanted = interval * spread, True
        while wanted:
            await asyncio.sleep(pause)
            wanted = await self._once()
            pause = interval * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311

    async def _once(self) -> bool:
        try:
            done = await self._run()
            log.log(logging.INFO if done else logging.DEBUG, "%s done: %s", self._work, done)
        except ClosedError:
            return False
        except DigiTwinError as error:
            log.error("%s failed; it goes on in its time: %s", self._work, error)  # noqa: TRY400
        except Exception:  # one failed run must not be the last
            log.exception("%s failed; it goes on in its time", self._work)
        return True
