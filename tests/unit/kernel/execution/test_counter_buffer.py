"""Counts reach the database in batches, each once, and none is lost on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar

import pytest

from digitwin.kernel.execution.counter_buffer import Batch, CounterBuffer

HOUR = ("embeddings", 1)
inside: ContextVar[str] = ContextVar("inside", default="nothing")


class Table:
    """What the batches add up to; ``down`` makes it fail, ``gate`` makes it slow."""

    def __init__(self) -> None:
        self.totals: Counter[tuple[object, ...]] = Counter()
        self.batches = 0
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.written = asyncio.Event()
        self.context = ""

    async def write(self, batch: Batch) -> None:
        self.batches += 1
        self.reached.set()
        self.context = inside.get()
        await self.gate.wait()
        if self.down:
            raise ConnectionError("the table is down")
        for key, counts in batch.items():
            self.totals.update({(*key, name): count for name, count in counts.items()})
        self.written.set()


@pytest.fixture
async def table() -> Table:
    return Table()


async def test_counts_of_a_key_are_written_as_one(table: Table) -> None:
    buffer = CounterBuffer(table.write)
    for _ in range(3):
        buffer.add(HOUR, hits=2)
    buffer.add(HOUR, misses=1)
    await buffer.flush()
    assert table.totals == {(*HOUR, "hits"): 6, (*HOUR, "misses"): 1}
    assert table.batches == 1


async def test_nothing_counted_is_nothing_written(table: Table) -> None:
    await CounterBuffer(table.write).flush()
    assert table.batches == 0


async def test_a_failed_batch_is_written_with_the_next(table: Table) -> None:
    buffer = CounterBuffer(table.write)
    buffer.add(HOUR, hits=1)
    table.down = True
    with pytest.raises(ConnectionError):
        await buffer.flush()
    buffer.add(HOUR, hits=1)
    table.down = False
    await buffer.flush()
    assert table.totals == {(*HOUR, "hits"): 2}


async def test_a_cancelled_batch_is_written_with_the_next(table: Table) -> None:
    buffer = CounterBuffer(table.write)
    buffer.add(HOUR, hits=1)
    table.gate.clear()
    flushing = asyncio.create_task(buffer.flush())
    await table.reached.wait()
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    table.gate.set()
    await buffer.flush()
    assert table.totals == {(*HOUR, "hits"): 1}


async def test_a_flush_ends_only_when_what_another_took_is_written_too(table: Table) -> None:
    buffer = CounterBuffer(table.write)
    buffer.add(HOUR, hits=1)
    table.gate.clear()
    first = asyncio.create_task(buffer.flush())
    await table.reached.wait()
    second = asyncio.create_task(buffer.flush())
    await asyncio.sleep(0)
    assert not second.done()
    table.gate.set()
    await second
    assert first.done()
    assert table.totals == {(*HOUR, "hits"): 1}


async def test_what_is_counted_during_a_flush_waits_for_the_next(table: Table) -> None:
    buffer = CounterBuffer(table.write)
    buffer.add(HOUR, hits=1)
    table.gate.clear()
    flushing = asyncio.create_task(buffer.flush())
    await table.reached.wait()
    buffer.add(HOUR, hits=1)
    table.gate.set()
    await flushing
    assert table.totals == {(*HOUR, "hits"): 1}
    await buffer.flush()
    assert table.totals == {(*HOUR, "hits"): 2}


async def test_the_background_task_flushes_by_itself(table: Table) -> None:
    buffer = CounterBuffer(table.write, interval=0.001)
    buffer.start()
    buffer.add(HOUR, hits=1)
    await asyncio.wait_for(table.written.wait(), 5)
    await buffer.stop()
    assert table.totals == {(*HOUR, "hits"): 1}


async def test_the_background_task_outlives_a_failure(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = CounterBuffer(table.write, interval=0.001)
    table.down = True
    buffer.add(HOUR, hits=1)
    buffer.start()
    await asyncio.wait_for(table.reached.wait(), 5)
    table.down = False
    await asyncio.wait_for(table.written.wait(), 5)
    await buffer.stop()
    assert table.totals == {(*HOUR, "hits"): 1}
    assert "the table is down" in caplog.text


async def test_the_background_task_runs_outside_the_transaction_it_was_started_in(
    table: Table,
) -> None:
    token = inside.set("a transaction")
    buffer = CounterBuffer(table.write, interval=0.001)
    buffer.start()
    inside.reset(token)
    buffer.add(HOUR, hits=1)
    await asyncio.wait_for(table.written.wait(), 5)
    await buffer.stop()
    assert table.context == "nothing"


async def test_stop_writes_the_rest_and_a_second_stop_is_harmless(table: Table) -> None:
    buffer = CounterBuffer(table.write, interval=3600)
    buffer.start()
    buffer.add(HOUR, hits=1)
    await buffer.stop()
    await buffer.stop()
    assert table.totals == {(*HOUR, "hits"): 1}


async def test_stop_tells_when_the_rest_could_not_be_written(table: Table) -> None:
    buffer = CounterBuffer(table.write, interval=3600)
    buffer.start()
    buffer.add(HOUR, hits=1)
    table.down = True
    with pytest.raises(ConnectionError):
        await buffer.stop()


async def test_a_buffer_half_full_is_flushed_before_its_time(table: Table) -> None:
    buffer = CounterBuffer(table.write, interval=3600, max_keys=10)
    buffer.start()
    for number in range(6):
        buffer.add(("key", number), hits=1)
    await asyncio.wait_for(table.written.wait(), 5)
    await buffer.stop()
    assert table.totals.total() == 6


async def test_memory_is_bounded_and_known_keys_still_count(table: Table) -> None:
    buffer = CounterBuffer(table.write, max_keys=2)
    for number in range(5):
        buffer.add(("key", number), hits=1)
    buffer.add(("key", 0), hits=1)
    assert len(buffer) == 2
    await buffer.flush()
    assert table.totals == {("key", 0, "hits"): 2, ("key", 1, "hits"): 1}


async def test_counts_without_room_are_logged(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = CounterBuffer(table.write, interval=0.001, max_keys=2)
    for number in range(5):
        buffer.add(("key", number), hits=1)
    buffer.start()
    await asyncio.wait_for(table.written.wait(), 5)
    await buffer.stop()
    assert "3 counts were dropped" in caplog.text


async def test_many_writers_and_flushes_at_once_add_up(table: Table) -> None:
    buffer = CounterBuffer(table.write)

    async def work(number: int) -> None:
        for turn in range(50):
            buffer.add(("key", turn % 7), hits=1)
            if turn % 10 == number % 10:
                await buffer.flush()
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(20)))
    await buffer.flush()
    assert table.totals.total() == 1000


async def test_a_retry_waits_for_its_interval_however_much_waits(table: Table) -> None:
    """A full buffer beside a database that is away must not be a busy loop."""
    buffer = CounterBuffer(table.write, interval=3600.0, max_keys=4)
    buffer.start()
    table.down = True
    for key in "abcd":
        buffer.add((key,), hits=1)
    await table.reached.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert table.batches == 1
    assert len(buffer) == 4
    table.down = False
    await buffer.stop()
    assert sum(table.totals.values()) == 4
