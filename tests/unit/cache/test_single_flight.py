"""One call for a key at a time, and nobody waits for one that will not land."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from digitwin.cache.single_flight import SingleFlight
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
def single_flight() -> SingleFlight[str]:
    return SingleFlight()


async def started(coroutine: Awaitable[str]) -> asyncio.Task[str]:
    """A task that has run until it had to wait."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    return task  # type: ignore[return-value]


async def gathered(
    single_flight: SingleFlight[str], call: Callable[[], Awaitable[str]], count: int
) -> list[asyncio.Task[str]]:
    return [await started(single_flight.run("key", call)) for _ in range(count)]


async def test_many_share_one_call(single_flight: SingleFlight[str]) -> None:
    call = Call()
    tasks = await gathered(single_flight, call, 100)
    call.go_on.set()
    assert await asyncio.gather(*tasks) == ["value"] * 100
    assert call.made == 1


async def test_keys_do_not_wait_for_each_other(single_flight: SingleFlight[str]) -> None:
    slow, quick = Call("slow"), Call("quick")
    quick.go_on.set()
    task = await started(single_flight.run("a", slow))
    assert await single_flight.run("b", quick) == "quick"
    slow.go_on.set()
    assert await task == "slow"


async def test_nothing_is_kept_of_a_call_that_landed(single_flight: SingleFlight[str]) -> None:
    call = Call()
    call.go_on.set()
    for _ in range(2):
        await single_flight.run("key", call)
    assert (call.made, len(single_flight)) == (2, 0)


async def test_those_who_wait_share_an_error_and_the_next_begins_anew(
    single_flight: SingleFlight[str],
) -> None:
    failing, working = Call(ValueError("no")), Call()
    tasks = await gathered(single_flight, failing, 10)
    failing.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(error) for error in outcomes} == {"no"}
    assert failing.made == 1
    working.go_on.set()
    assert await single_flight.run("key", working) == "value"


async def test_an_error_that_nobody_waits_for_is_its_own_callers(
    single_flight: SingleFlight[str],
) -> None:
    failing = Call(ValueError("no"))
    failing.go_on.set()
    with pytest.raises(ValueError, match="no"):
        await single_flight.run("key", failing)


async def test_when_the_first_is_cancelled_the_next_takes_over(
    single_flight: SingleFlight[str],
) -> None:
    call = Call()
    first, *others = await gathered(single_flight, call, 5)
    call.begun.clear()
    first.cancel()
    await call.begun.wait()
    call.go_on.set()
    assert await asyncio.gather(*others) == ["value"] * 4
    assert call.made == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_one_after_the_other_may_be_cancelled(single_flight: SingleFlight[str]) -> None:
    call = Call()
    *cancelled, last = await gathered(single_flight, call, 5)
    for task in cancelled:
        task.cancel()
        await asyncio.wait([task])
    call.go_on.set()
    assert await last == "value"


async def test_a_cancelled_waiter_disturbs_nobody(single_flight: SingleFlight[str]) -> None:
    call = Call()
    first, waiter, other = await gathered(single_flight, call, 3)
    waiter.cancel()
    call.go_on.set()
    assert await asyncio.gather(first, other) == ["value"] * 2
    assert call.made == 1


async def test_a_call_that_is_told_to_exit_leaves_no_waiter_behind(
    single_flight: SingleFlight[str],
) -> None:
    class Exit(BaseException):
        pass

    async def dying() -> str:
        await asyncio.sleep(0)
        raise Exit

    call = Call()
    call.go_on.set()

    async def expecting_the_exit() -> str:
        with pytest.raises(Exit):
            await single_flight.run("key", dying)
        return "gone"

    first = await started(expecting_the_exit())
    second = await started(single_flight.run("key", call))
    assert await asyncio.gather(first, second) == ["gone", "value"]


async def test_a_call_that_asks_for_itself_is_told_so(single_flight: SingleFlight[str]) -> None:
    async def recursive() -> str:
        return await single_flight.run("key", recursive)

    with pytest.raises(InvalidStateError, match="the entry that it makes"):
        await single_flight.run("key", recursive)


async def test_a_call_may_ask_for_another(single_flight: SingleFlight[str]) -> None:
    inner = Call()
    inner.go_on.set()
    assert await single_flight.run("outer", lambda: single_flight.run("inner", inner)) == "value"
