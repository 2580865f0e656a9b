"""Maintenance: steps that the domains declare, run one after the other beside the traffic.

Every step is a run of short statements that commit by themselves and skip what another
instance holds: any number of instances may run maintenance at once. A domain declares its
steps in its ``maintenance.py``; the report, the command line and SETUP.md list them from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from digitwin.errors import DigiTwinError

log = logging.getLogger("digitwin.maintenance")

Count: TypeAlias = int | Mapping[str, int]
"""How much a step did; by store, where it works on several."""

Progress = Callable[[int, int, str], None]
"""Called as each step begins, with its number, the number of steps and what it does."""


def log_progress(number: int, steps: int, does: str) -> None:
    """The default progress: one line of the debug log for each step."""
    log.debug("Maintenance %d/%d: %s", number, steps, does)


@dataclass(frozen=True, slots=True)
class MaintenanceStep:
    """One kind of maintenance.

    Args:
        name: of its count in the report.
        does: what is counted, in words for people.
        run: does it once and returns the count.
    """

    name: str
    does: str
    run: Callable[[], Awaitable[Count]]


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What one run of maintenance did; the work of other instances is not in it.

    Each count is also an attribute by the name of its step: ``report.audit_records``.
    """

    counts: Mapping[str, Count]
    duration_seconds: float

    def __getattr__(self, name: str) -> Any:
        if name in type(self).__slots__ or name not in self.counts:
            raise AttributeError(f"no step of maintenance is named {name!r}")
        return self.counts[name]


async def maintain(
    steps: Iterable[MaintenanceStep], progress: Progress = log_progress
) -> MaintenanceReport:
    """Run every step once. A step that fails does not keep the others from running.

    Raises:
        DigiTwinError: the first failure, after every step was tried.
    """
    started = time.perf_counter()
    all_steps = list(steps)
    counts: dict[str, Count] = {}
    failures: list[DigiTwinError] = []
    for number, step in enumerate(all_steps, 1):
        progress(number, len(all_steps), step.does)
        try:
            counts[step.name] = await step.run()
        except DigiTwinError as error:
            log.warning("Maintenance failed at %s: %s", step.name, error)
            failures.append(error)
    if failures:
        raise failures[0]
    return MaintenanceReport(counts, time.perf_counter() - started)
