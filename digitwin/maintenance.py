"""Clearing away what is past its time, beside the traffic.

Every step is a run of short statements that commit by themselves and skip what another
instance holds: any number of instances may be at it at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeVar

from digitwin.errors import ClosedError, DigiTwinError
from digitwin.kernel.execution.core import Core

log = logging.getLogger("digitwin.maintenance")

T = TypeVar("T")

JITTER = 0.1
"""How much shorter or longer than the interval a pause may be, so that instances drift apart."""

Progress = Callable[[str], None]
"""Told each of the ``STEPS`` as it begins, in words for a person."""
STEPS = 11


class ExpiringCache(Protocol):
    """A cache whose rows have a time, and whose stores a bound."""

    async def purge_expired(self) -> Mapping[str, int]: ...

    async def make_room(self) -> Mapping[str, int]: ...


class SpentLimits(Protocol):
    """Buckets, of which those long full again say nothing."""

    async def purge(self, older_than: float | timedelta) -> int: ...


class PastDeletions(Protocol):
    """Deletions that can be restored for a time, and are made final after it."""

    async def make_final(self, older_than: float) -> int: ...


class MonthlyTrail(Protocol):
    """Records kept for a time, in partitions made ahead of theirs."""

    async def prepare(self) -> int: ...

    async def seal(self) -> int: ...

    async def purge(self, older_than: float | timedelta) -> int: ...


class Erasures(Protocol):
    """What erasures have left to be done."""

    async def deliver(self) -> int: ...

    async def sweep(self) -> int: ...


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """What one run of upkeep did; the same work done by another instance is not in it."""

    cache_rows: Mapping[str, int] = field(default_factory=dict)
    """Expired rows removed, by store."""
    cache_evicted: Mapping[str, int] = field(default_factory=dict)
    """The oldest rows, removed where a store held more than it may, by store."""
    limit_buckets: int = 0
    """Buckets removed that had long been full again."""
    audit_records: int = 0
    """Records removed that were past their retention."""
    final_deletions: int = 0
    """Deletions that nothing restores any more: what they hid is removed."""
    audit_partitions: int = 0
    """Months made ready for records to come."""
    audit_sealed: int = 0
    """Records sealed that had no seal yet."""
    expired_consents: int = 0
    """People whose voice or face was deactivated, since their consent to it had ended."""
    artifacts_deleted: int = 0
    """Voices and faces of the erased that are gone now where they were kept."""
    keys_destroyed: int = 0
    """Keys of people who were removed for good."""
    stray_rows: int = 0
    """Rows removed that came for somebody after they were erased."""
    duration_seconds: float = 0.0


async def maintain(
    core: Core,
    *,
    cache: ExpiringCache,
    limits: SpentLimits,
    audit: MonthlyTrail,
    consents: Callable[[Core], Awaitable[int]],
    deletions: PastDeletions,
    privacy: Erasures,
    keys: Callable[[], Awaitable[int]],
    progress: Progress = log.debug,
) -> MaintenanceReport:
    """Do all upkeep once. A step that fails does not keep the others from being done.

    Raises:
        DigiTwinError: the first failure, after every step was tried.
    """
    started = time.perf_counter()
    steps = _Steps(progress)
    settings = core.settings
    rows = await steps.do("expired cache rows", cache.purge_expired(), {})
    evicted = await steps.do("cache rows beyond the bounds", cache.make_room(), {})
    buckets = await steps.do("idle limits", limits.purge(settings.limiter_retention), 0)
    months = await steps.do("audit partitions to come", audit.prepare(), 0)
    sealed = await steps.do("audit records to be sealed", audit.seal(), 0)
    records = await steps.do(
        "audit records past their time", audit.purge(settings.audit_retention), 0
    )
    expired = await steps.do("expired consents", consents(core), 0)
    final = await steps.do(
        "deletions past their time", deletions.make_final(settings.deletion_retention), 0
    )
    artifacts = await steps.do("artifacts of the erased", privacy.deliver(), 0)
    strays = await steps.do("rows that came after an erasure", privacy.sweep(), 0)
    destroyed = await steps.do("keys of people who are gone", keys(), 0)
    if steps.failure is not None:
        raise steps.failure
    return MaintenanceReport(
        cache_rows=rows,
        cache_evicted=evicted,
        limit_buckets=buckets,
        audit_records=records,
        final_deletions=final,
        audit_partitions=months,
        audit_sealed=sealed,
        expired_consents=expired,
        artifacts_deleted=artifacts,
        stray_rows=strays,
        keys_destroyed=destroyed,
        duration_seconds=time.perf_counter() - started,
    )


class _Steps:
    """Runs one step after the other and remembers the first failure."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.failure: DigiTwinError | None = None

    async def do(self, name: str, step: Awaitable[T], otherwise: T) -> T:
        self._progress(name)
        try:
            return await step
        except DigiTwinError as error:
            log.warning("Upkeep failed at %s: %s", name, error)
            self.failure = self.failure or error
            return otherwise


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
