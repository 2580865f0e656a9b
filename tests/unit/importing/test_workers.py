"""A few tasks share a source: each item once, never too many at once, the first error as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from digitwin.importing.workers import for_each


async def test_every_item_is_worked_on_once_and_never_more_than_allowed_at_once() -> None:
    done: list[int] = []
    under_way, most = 0, 0

    async def work(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await for_each(range(100), work, at_once=7)
    assert sorted(done) == list(range(100))
    assert most == 7


async def test_nothing_is_taken_before_somebody_is_free_for_it() -> None:
    taken = 0
    gate = asyncio.Event()

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> None:
        await gate.wait()

    working = asyncio.create_task(for_each(endless(), work, at_once=3))
    for _ in range(10):
        await asyncio.sleep(0)
    assert taken == 3
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_the_first_error_ends_all_and_comes_out_bare() -> None:
    waiting = 0

    async def work(item: int) -> None:
        nonlocal waiting
        if item == 2:
            raise LookupError("two")
        waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            waiting -= 1

    with pytest.raises(LookupError, match="two"):
        await for_each(range(10), work, at_once=3)
    assert waiting == 0


async def test_an_empty_source_is_done_at_once() -> None:
    async def work(item: int) -> None:
        raise AssertionError

    await for_each([], work, at_once=3)
