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
    :meth:`try_acquire` is one comparison, without a coroutine.

    Args:
        count: slots.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: deque[asyncio.Future[None]] = deque()

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

    async def acquire(self, timeout: float) -> None:
        """Acquire a slot, waiting for it if needed.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: no slot became free in time.
        """
        if self.try_acquire():
            return
        slot = asyncio.get_running_loop().create_future()
        self._waiters.append(slot)
        try:
            async with asyncio.timeout(timeout):
                await slot
        except BaseException:
            if slot.done() and not slot.cancelled():
                self.release()  # granted in the moment of the timeout or cancellation
            elif slot in self._waiters:
                self._waiters.remove(slot)
            raise

    def close(self) -> None:
        """Refuse every slot from now on, with :class:`ClosedError`; releases still work."""
        self.try_acquire = _refuse  # type: ignore[method-assign]

    def release(self) -> None:
        """Release a slot to the caller that has waited longest, if any."""
        while self._waiters:
            slot = self._waiters.popleft()
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1
