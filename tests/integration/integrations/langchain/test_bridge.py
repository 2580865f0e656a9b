"""Calls from another thread or loop, when the handle's loop stops, ends, or cancels them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from digitwin.errors import ClosedError
from digitwin.integrations.langchain.bridge import Bridge

Call = Callable[[Bridge, asyncio.Event], None]


def synchronously(bridge: Bridge, event: asyncio.Event) -> None:
    bridge.wait(event.wait())


def from_another_loop(bridge: Bridge, event: asyncio.Event) -> None:
    asyncio.run(bridge.on_loop(event.wait()))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def made() -> Bridge:
    return Bridge()


both = pytest.mark.parametrize("call", [synchronously, from_another_loop])


@both
def test_a_loop_that_does_not_run_is_not_waited_for(
    loop: asyncio.AbstractEventLoop, call: Call
) -> None:
    bridge = loop.run_until_complete(made())
    with pytest.raises(ClosedError, match="event loop"):
        call(bridge, asyncio.Event())


@both
def test_a_loop_that_has_ended_is_refused(call: Call) -> None:
    bridge = asyncio.run(made())
    with pytest.raises(ClosedError, match="event loop"):
        call(bridge, asyncio.Event())


@both
def test_a_loop_that_ends_ends_the_call(call: Call) -> None:
    """``asyncio.run`` cancels what still runs: the caller was not cancelled."""

    async def until_called() -> None:
        begun = asyncio.Event()

        class Begins(asyncio.Event):
            async def wait(self) -> bool:  # type: ignore[override]
                begun.set()
                return await super().wait()

        caller = threading.Thread(target=calling, args=(Bridge(), Begins()))
        caller.start()
        callers.append(caller)
        await begun.wait()

    def calling(bridge: Bridge, event: asyncio.Event) -> None:
        try:
            call(bridge, event)
        except BaseException as error:  # noqa: BLE001 - whatever the caller gets
            raised.append(error)

    callers: list[threading.Thread] = []
    raised: list[BaseException] = []
    asyncio.run(until_called())
    callers[0].join(10)
    assert [type(error) for error in raised] == [ClosedError]


@both
def test_a_loop_that_stops_under_a_call_ends_it(
    loop: asyncio.AbstractEventLoop, call: Call
) -> None:
    """Nothing cancels the call then; it is cancelled if the loop goes on."""

    class Stops(asyncio.Event):
        async def wait(self) -> bool:  # type: ignore[override]
            loop.stop()
            return await super().wait()

    bridge = loop.run_until_complete(made())
    running = threading.Thread(target=loop.run_forever)
    running.start()
    with pytest.raises(ClosedError, match="event loop"):
        call(bridge, Stops())
    running.join(10)
    loop.run_until_complete(asyncio.sleep(0))
    assert not asyncio.all_tasks(loop)
