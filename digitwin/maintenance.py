"""Work that a handle repeats in the background, as long as it is open."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

from digitwin.kernel.execution.background import NEVER, BackgroundTask

log = logging.getLogger("digitwin.maintenance")

JITTER = 0.1
"""How much shorter or longer than the interval a pause may be, so that instances drift apart."""


def background(
    run: Callable[[], Awaitable[object]],
    interval: float | None,
    *,
    name: str,
    soon: bool = True,
) -> BackgroundTask:
    """A task that repeats ``run`` and logs its report.

    Args:
        run: returns a report, false if nothing was done.
        interval: seconds between runs; None means never.
        soon: the first run comes at a random moment within the first interval, else after it.
    """
    pause = interval or NEVER

    async def once() -> None:
        report = await run()
        log.log(logging.INFO if report else logging.DEBUG, "%s done: %s", name, report)

    spread = random.random() if soon else 1 + JITTER * random.random()  # noqa: S311
    return BackgroundTask(
        once, name=name, logger=log, interval=pause, jitter=JITTER, first=pause * spread
    )
