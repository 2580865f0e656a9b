"""Maintenance: steps declared by the domains, run one after the other.

Every step consists of short statements that commit on their own and skip rows locked by other
instances, so that any number of instances may run maintenance at once. A domain declares its
steps in its ``maintenance.py``; the report, the command line and SETUP.md list them from there.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from digitwin.errors import DigiTwinError, InvalidInputError
from digitwin.kernel.execution.background import NEVER, BackgroundTask

log = logging.getLogger("digitwin.maintenance")

JITTER = 0.1
"""How much shorter or longer than its interval a pause may be, so that instances drift apart."""

Count: TypeAlias = int | Mapping[str, int]
"""Rows or items a step processed; by store if there are several."""

Progress = Callable[[str], None]
"""Called as each step begins, with what it does."""


@dataclass(frozen=True, slots=True)
class MaintenanceStep:
    """A maintenance step.

    Args:
        name: the key of its count in the report.
        does: a description of the count.
        run: runs the step once and returns the count.
    """

    name: str
    does: str
    run: Callable[[], Awaitable[Count]]


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """Result of one maintenance run, without the work of other instances.

    Each count is also an attribute named after its step: ``report.audit_records``.
    """

    counts: Mapping[str, Count] = field(default_factory=dict)
    duration_seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        if name in type(self).__slots__ or name not in self.counts:
            raise AttributeError(f"no maintenance step is named {name!r}")
        return self.counts[name]


async def maintain(
    steps: Iterable[MaintenanceStep], progress: Progress = log.debug
) -> MaintenanceReport:
    """Run every step once; a failed step does not prevent the others.

    Raises:
        InvalidInputError: ``progress`` is not callable.
        DigiTwinError: the first failure, after every step was tried.
    """
    if not callable(progress):
        raise InvalidInputError("progress must be callable", field="progress")
    started = time.perf_counter()
    counts: dict[str, Count] = {}
    failures: list[DigiTwinError] = []
    for step in steps:
        progress(step.does)
        try:
            counts[step.name] = await step.run()
        except DigiTwinError as error:
            log.warning("Maintenance step %s failed: %s", step.name, error)
            failures.append(error)
    if failures:
        raise failures[0]
    return MaintenanceReport(counts, time.perf_counter() - started)


def in_background(
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
