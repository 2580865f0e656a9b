"""Places: never more than there are, never one lost, and nobody jumps the queue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from digitwin.kernel.connection.semaphore import Slots


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until this holds."""
    while not condition():  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)


async def test_so_many_and_no_more() -> None:
    slots = Slots(2)
    assert [slots.take_now() for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert slots.take_now()


async def test_waiting_has_an_end_and_leaves_nothing_behind() -> None:
    slots = Slots(1)
    await slots.take(1)
    with pytest.raises(TimeoutError):
        await slots.take(0.01)
    assert slots.waiting == 0
    slots.give_back()
    assert slots.take_now()
    assert not slots.take_now()


async def test_whoever_waited_longest_is_next_and_a_newcomer_is_not() -> None:
    slots, order = Slots(1), []
    await slots.take(1)

    async def wait(name: str) -> None:
        await slots.take(5)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(wait(name))
        await until(lambda: slots.waiting == 3)
        slots.give_back()
        assert not slots.take_now()
        for n in (1, 2):
            await until(lambda n=n: len(order) >= n)
            slots.give_back()
    assert order == ["a", "b", "c"]


async def test_a_place_handed_to_one_who_gives_up_goes_on_to_the_next() -> None:
    slots = Slots(1)
    await slots.take(1)
    first = asyncio.create_task(slots.take(5))
    second = asyncio.create_task(slots.take(5))
    await until(lambda: slots.waiting == 2)
    slots.give_back()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 5)
    assert not slots.take_now()


async def test_no_place_is_lost_whoever_gives_up_when() -> None:
    slots, chance = Slots(3), random.Random(7)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        await slots.take(30)
        inside += 1
        most = max(most, inside)
        try:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
        finally:
            inside -= 1
            slots.give_back()

    for _ in range(60):
        tasks = [asyncio.create_task(work()) for _ in range(12)]
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        for task in chance.sample(tasks, 5):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert [slots.take_now() for _ in range(4)] == [True, True, True, False]


async def test_a_place_given_back_while_its_waiter_is_being_cancelled_is_not_lost() -> None:
    slots = Slots(1)
    await slots.take(1)
    waiter = asyncio.create_task(slots.take(5))
    await until(lambda: slots.waiting == 1)
    waiter.cancel()
    slots.give_back()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert slots.take_now()
    assert slots.waiting == 0
