"""One call for a key at a time, and nobody waits for one that will not land."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from digitwin.cache.single_flight import Flights
from digitwin.errors import InvalidStateError


class Call:
    """A call that ends when it is told to, and knows how often it was made."""

    def __init__(self, outcome: str | Exception = "value") -> None:
        self.outcome = outcome
        self.made = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self) -> str:
        self.made += 1
        self.begun.set()
        await self.go_on.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def flights() -> Flights[str]:
    return Flights()


async def started(coroutine: Awaitable[str]) -> asyncio.Task[str]:
    """A task that has run until it had to wait."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    return task  # type: ignore[return-value]


async def gathered(
    flights: Flights[str], call: Callable[[], Awaitable[str]], count: int
) -> list[asyncio.Task[str]]:
    return [await started(flights.share("key", call)) for _ in range(count)]


async def test_many_share_one_call(flights: Flights[str]) -> None:
    call = Call()
    tasks = await gathered(flights, call, 100)
    call.go_on.set()
    assert await asyncio.gather(*tasks) == ["value"] * 100
    assert call.made == 1


async def test_keys_do_not_wait_for_each_other(flights: Flights[str]) -> None:
    slow, quick = Call("slow"), Call("quick")
    quick.go_on.set()
    task = await started(flights.share("a", slow))
    assert await flights.share("b", quick) == "quick"
    slow.go_on.set()
    assert await task == "slow"


async def test_nothing_is_kept_of_a_call_that_landed(flights: Flights[str]) -> None:
    call = Call()
    call.go_on.set()
    for _ in range(2):
        await flights.share("key", call)
    assert (call.made, len(flights)) == (2, 0)


async def test_those_who_wait_share_an_error_and_the_next_begins_anew(
    flights: Flights[str],
) -> None:
    failing, working = Call(ValueError("no")), Call()
    tasks = await gathered(flights, failing, 10)
    failing.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(error) for error in outcomes} == {"no"}
    assert failing.made == 1
    working.go_on.set()
    assert await flights.share("key", working) == "value"


async def test_an_error_that_nobody_waits_for_is_its_own_callers(flights: Flights[str]) -> None:
    failing = Call(ValueError("no"))
    failing.go_on.set()
    with pytest.raises(ValueError, match="no"):
        await flights.share("key", failing)


async def test_when_the_first_is_cancelled_the_next_takes_over(flights: Flights[str]) -> None:
    call = Call()
    first, *others = await gathered(flights, call, 5)
    call.begun.clear()
    first.cancel()
    await call.begun.wait()
    call.go_on.set()
    assert await asyncio.gather(*others) == ["value"] * 4
    assert call.made == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_one_after_the_other_may_be_cancelled(flights: Flights[str]) -> None:
    call = Call()
    *cancelled, last = await gathered(flights, call, 5)
    for task in cancelled:
        task.cancel()
        await asyncio.wait([task])
    call.go_on.set()
    assert await last == "value"


async def test_a_cancelled_waiter_disturbs_nobody(flights: Flights[str]) -> None:
    call = Call()
    first, waiter, other = await gathered(flights, call, 3)
    waiter.cancel()
    call.go_on.set()
    assert await asyncio.gather(first, other) == ["value"] * 2
    assert call.made == 1


async def test_a_call_that_is_told_to_exit_leaves_no_waiter_behind(flights: Flights[str]) -> None:
    class Exit(BaseException):
        pass

    async def dying() -> str:
        await asyncio.sleep(0)
        raise Exit

    call = Call()
    call.go_on.set()

    async def expecting_the_exit() -> str:
        with pytest.raises(Exit):
            await flights.share("key", dying)
        return "gone"

    first = await started(expecting_the_exit())
    second = await started(flights.share("key", call))
    assert await asyncio.gather(first, second) == ["gone", "value"]


async def test_a_call_that_asks_for_itself_is_told_so(flights: Flights[str]) -> None:
    async def recursive() -> str:
        return await flights.share("key", recursive)

    with pytest.raises(InvalidStateError, match="the entry that it makes"):
        await flights.share("key", recursive)


async def test_a_call_may_ask_for_another(flights: Flights[str]) -> None:
    inner = Call()
    inner.go_on.set()
    assert await flights.share("outer", lambda: flights.share("inner", inner)) == "value"
