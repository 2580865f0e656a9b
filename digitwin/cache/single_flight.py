"""One call for each key at a time; whoever asks meanwhile shares its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from digitwin.errors import InvalidStateError

T = TypeVar("T")

_aboard: ContextVar[frozenset[asyncio.Future[Any]]] = ContextVar(
    "digitwin_flights", default=frozenset()
)
"""The flights that this task's work is part of."""


class Flights(Generic[T]):
    """Calls under way, by key.

    A call runs in the task of the one who began it. Those who wait for it get its value or its
    error; when it is cancelled, the first of them begins anew. Nothing is kept once it ends.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._under_way

    async def share(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        """The outcome of the call that is under way for this key, or of this one.

        Raises:
            InvalidStateError: it is the call under way that asks: it would wait for itself.
        """
        while (flight := self._under_way.get(key)) is not None:
            if flight in _aboard.get():
                raise InvalidStateError("A factory asks the cache for the entry that it makes")
            await asyncio.wait([flight])
            if not flight.cancelled():
                return flight.result()
        return await self._fly(key, call)

    async def _fly(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        flight = self._under_way[key] = asyncio.get_running_loop().create_future()
        token = _aboard.set(_aboard.get() | {flight})
        try:
            value = await call()
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # seen, also when nobody waits
            raise
        else:
            flight.set_result(value)
            return value
        finally:
            flight.cancel()  # does nothing to one that has its outcome
            del self._under_way[key]
            _aboard.reset(token)
