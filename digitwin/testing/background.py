"""An event loop in a thread of its own, which fixtures and tests of any kind can wait for.

The loops of the tests come and go, and some tests have none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Runs coroutines on the other thread; the caller waits for the result."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, or what it raised."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def background() -> Iterator[Background]:
    """A loop that runs until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="digitwin-testing", daemon=True)
    thread.start()
    try:
        yield Background(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
