"""One call for each key at a time; callers that ask meanwhile share its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from digitwin.errors import InvalidStateError

T = TypeVar("T")

_own_calls: ContextVar[frozenset[asyncio.Future[Any]]] = ContextVar(
    "digitwin_flights", default=frozenset()
)
"""The calls that this task is part of."""


class SingleFlight(Generic[T]):
    """Calls under way, by key.

    A call runs in the task of the caller that began it. Others wait for it and get its value or
    its error; when it is cancelled, the first of them begins anew. Nothing is kept afterwards.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._running

    async def run(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        """Return the outcome of the key's running call, or run this one.

        Raises:
            InvalidStateError: the caller is part of the running call: it would wait for itself.
            Exception: what the call raised.
        """
        while (future := self._running.get(key)) is not None:
            if future in _own_calls.get():
                raise InvalidStateError("A factory asks the cache for the entry that it makes")
            await asyncio.wait([future])
            if not future.cancelled():
                return future.result()
        return await self._call(key, call)

    async def _call(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        future = self._running[key] = asyncio.get_running_loop().create_future()
        token = _own_calls.set(_own_calls.get() | {future})
        try:
            value = await call()
        except Exception as error:
            future.set_exception(error)
            future.exception()  # retrieved, so that asyncio does not warn if no one waits
            raise
        else:
            future.set_result(value)
            return value
        finally:
            future.cancel()  # without effect once it has its outcome
            del self._running[key]
            _own_calls.reset(token)
