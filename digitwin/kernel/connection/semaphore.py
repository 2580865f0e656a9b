"""A fair semaphore: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque

from digitwin.errors import ClosedError


def _refuse() -> bool:
    raise ClosedError


class FairSemaphore:
    """A semaphore that hands a released slot directly to the caller that has waited longest.

    ``asyncio.Semaphore`` is not used because every statement passes here: an uncontended
    :meth:`try_acquire` is one comparison, without a coroutine. All callers wait for the same time
    at most, so that the first in line is due first: one timer serves all. A timer for each, as
    ``asyncio.timeout`` sets it, was a sixth of a short call's time with 32 callers.

    Args:
        count: slots.
        timeout: seconds to wait for one at most.
    """

    def __init__(self, count: int, timeout: float) -> None:
        self._free = count
        self._timeout = timeout
        self._waiters: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """The number of callers that wait."""
        return len(self._waiters)

    def try_acquire(self) -> bool:
        """Acquire a slot if one is free, without waiting; return whether it was."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def acquire(self) -> None:
        """Acquire a slot, waiting for it if needed.

        Raises:
            TimeoutError: no slot became free in time.
        """
        if self.try_acquire():
            return
        loop = asyncio.get_running_loop()
        slot = loop.create_future()
        waiter = slot, loop.time() + self._timeout
        self._waiters.append(waiter)
        if self._timer is None:
            self._timer = loop.call_at(waiter[1], self._refuse_overdue, loop)
        try:
            await slot
        except BaseException:
            if not slot.done() or slot.cancelled():
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif slot.exception() is None:
                self.release()  # granted in the moment of the cancellation
            raise

    def close(self) -> None:
        """Refuse every slot from now on, with :class:`ClosedError`; releases still work."""
        self.try_acquire = _refuse  # type: ignore[method-assign]

    def release(self) -> None:
        """Release a slot to the caller that has waited longest, if any."""
        while self._waiters:
            slot, _ = self._waiters.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1

    def _refuse_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiters and self._waiters[0][1] <= now:
            slot, _ = self._waiters.popleft()
            if not slot.done():
                slot.set_exception(TimeoutError())
        if self._waiters:
            self._timer = loop.call_at(self._waiters[0][1], self._refuse_overdue, loop)
