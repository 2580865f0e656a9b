"""Places: never more than there are, never one lost, and nobody jumps the queue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from digitwin.kernel.connection.semaphore import FairSemaphore


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until this holds."""
    while not condition():  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)


async def test_so_many_and_no_more() -> None:
    semaphore = FairSemaphore(2, 30)
    assert [semaphore.try_acquire() for _ in range(3)] == [True, True, False]
    semaphore.release()
    assert semaphore.try_acquire()


async def test_waiting_has_an_end_and_leaves_nothing_behind() -> None:
    semaphore = FairSemaphore(1, 0.01)
    await semaphore.acquire()
    with pytest.raises(TimeoutError):
        await semaphore.acquire()
    assert semaphore.waiting == 0
    semaphore.release()
    assert semaphore.try_acquire()
    assert not semaphore.try_acquire()


async def test_each_of_many_waits_as_long_as_it_may_and_no_longer() -> None:
    """One timer serves all: it goes on for those who came later."""
    semaphore = FairSemaphore(1, 0.05)
    clock = asyncio.get_running_loop().time
    await semaphore.acquire()
    waited: list[float] = []

    async def wait() -> None:
        began = clock()
        with pytest.raises(TimeoutError):
            await semaphore.acquire()
        waited.append(clock() - began)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        await until(lambda: semaphore.waiting == 1)
        began = clock()
        await until(lambda: clock() > began + 0.02)
        group.create_task(wait())
    assert len(waited) == 2
    assert min(waited) >= 0.049


async def test_whoever_waited_longest_is_next_and_a_newcomer_is_not() -> None:
    semaphore, order = FairSemaphore(1, 30), []
    await semaphore.acquire()

    async def wait(name: str) -> None:
        await semaphore.acquire()
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(wait(name))
        await until(lambda: semaphore.waiting == 3)
        semaphore.release()
        assert not semaphore.try_acquire()
        for n in (1, 2):
            await until(lambda n=n: len(order) >= n)
            semaphore.release()
    assert order == ["a", "b", "c"]


async def test_a_place_handed_to_one_who_gives_up_goes_on_to_the_next() -> None:
    semaphore = FairSemaphore(1, 30)
    await semaphore.acquire()
    first = asyncio.create_task(semaphore.acquire())
    second = asyncio.create_task(semaphore.acquire())
    await until(lambda: semaphore.waiting == 2)
    semaphore.release()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 5)
    assert not semaphore.try_acquire()


async def test_no_place_is_lost_whoever_gives_up_when() -> None:
    semaphore, chance = FairSemaphore(3, 30), random.Random(7)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        await semaphore.acquire()
        inside += 1
        most = max(most, inside)
        try:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
        finally:
            inside -= 1
            semaphore.release()

    for _ in range(60):
        tasks = [asyncio.create_task(work()) for _ in range(12)]
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        for task in chance.sample(tasks, 5):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert [semaphore.try_acquire() for _ in range(4)] == [True, True, True, False]


async def test_a_place_given_back_while_its_waiter_is_being_cancelled_is_not_lost() -> None:
    semaphore = FairSemaphore(1, 30)
    await semaphore.acquire()
    waiter = asyncio.create_task(semaphore.acquire())
    await until(lambda: semaphore.waiting == 1)
    waiter.cancel()
    semaphore.release()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert semaphore.try_acquire()
    assert semaphore.waiting == 0
