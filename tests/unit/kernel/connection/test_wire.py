"""What goes in front of a statement is sent with just that statement, or nothing is sent."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import asyncpg
import pytest

from digitwin.kernel.connection import wire
from digitwin.kernel.connection.wire import SYNC, Loop, Transport, head_of, run_of

PREFIX = run_of("enter", "ada")
EXECUTE = b"E" + struct.pack("!ixi", 9, 0)


def bind(statement: str, values: bytes = b"", portal: bytes = b"") -> bytes:
    content = portal + b"\0" + statement.encode() + b"\0" + values
    return b"B" + struct.pack("!i", len(content) + 4) + content


STATEMENT = bind("stmt_1") + EXECUTE + SYNC


class Real:
    """What the wrapper passes on."""

    def __init__(self) -> None:
        self.sent = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


@pytest.fixture
def real() -> Real:
    return Real()


@pytest.fixture
def transport(real: Real) -> Transport:
    return Transport(real)


def test_unarmed_it_is_the_real_one(transport: Transport, real: Real) -> None:
    transport.write(memoryview(b"one"))
    transport.writelines([b"two", memoryview(b"three")])
    assert real.sent == b"onetwothree"
    assert transport.get_extra_info("socket") == "the socket"


@pytest.mark.parametrize("values", [b"", SYNC, b"\xff" * 3_000_000])
def test_armed_it_joins_what_belongs_in_front_to_the_statement(
    transport: Transport, real: Real, values: bytes
) -> None:
    statement = bind("stmt_1", values) + EXECUTE + SYNC
    transport.arm(PREFIX, head_of("stmt_1"))
    transport.write(memoryview(bytearray(statement)))
    assert real.sent == PREFIX + statement
    assert not real.aborted


def test_it_is_sent_once(transport: Transport, real: Real) -> None:
    transport.arm(PREFIX, head_of("stmt_1"))
    transport.write(STATEMENT)
    transport.write(STATEMENT)
    assert real.sent == PREFIX + STATEMENT + STATEMENT


def test_disarmed_it_is_not_sent(transport: Transport, real: Real) -> None:
    transport.arm(PREFIX, head_of("stmt_1"))
    transport.disarm()
    transport.write(STATEMENT)
    assert real.sent == STATEMENT


def test_armed_again_the_last_counts(transport: Transport, real: Real) -> None:
    transport.arm(run_of("enter", "eve"), head_of("stmt_2"))
    transport.arm(PREFIX, head_of("stmt_1"))
    transport.write(STATEMENT)
    assert real.sent == PREFIX + STATEMENT


WRONG = {
    "nothing": b"",
    "sync alone": SYNC,
    "an error's sync behind another": SYNC + SYNC,
    "parse in front": b"P" + struct.pack("!i", 8) + b"\0\0\0\0" + STATEMENT,
    "a query": b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
    "not whole": bind("stmt_1"),
    "without its sync": bind("stmt_1") + EXECUTE,
    "with a flush instead": bind("stmt_1") + EXECUTE + b"H\0\0\0\x04",
    "another statement": bind("stmt_2") + EXECUTE + SYNC,
    "one whose name begins alike": bind("stmt_12") + EXECUTE + SYNC,
    "one whose name is the beginning": bind("stmt_") + EXECUTE + SYNC,
    "the unnamed statement": bind("") + EXECUTE + SYNC,
    "a named portal": bind("stmt_1", portal=b"cursor") + EXECUTE + SYNC,
    "an execute of what was bound before": EXECUTE + SYNC,
    "a close": b"C" + struct.pack("!i", 12) + b"Sstmt_1\0" + SYNC,
    "a farewell": b"X\0\0\0\x04",
}


@pytest.mark.parametrize("lines", [False, True], ids=["write", "writelines"])
@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_anything_else_ends_the_connection_and_is_not_sent(
    transport: Transport, real: Real, data: bytes, lines: bool
) -> None:
    transport.arm(PREFIX, head_of("stmt_1"))
    with pytest.raises(asyncpg.InternalClientError):
        if lines:
            transport.writelines([data[:3], data[3:]])
        else:
            transport.write(memoryview(data))
    assert real.sent == b""
    assert real.aborted


def test_the_messages_are_those_of_the_protocol() -> None:
    """A Bind with one text value, any result format, and an Execute without a limit; no Sync."""
    assert run_of("enter", "ä") == (
        b"B\0\0\0\x17" + b"\0enter\0" + b"\0\0" + b"\0\1" + b"\0\0\0\2\xc3\xa4" + b"\0\0"
        b"E\0\0\0\x09\0\0\0\0\0"
    )


def test_only_tried_versions_of_asyncpg_are_written_to() -> None:
    assert asyncpg.__version__.startswith(wire._TESTED) == wire.FITS


async def test_a_server_that_hangs_up_during_the_handshake_is_told_as_asyncio_does() -> None:
    class HungUp:
        create_future = None

        async def start_tls(self, transport: object, *what: object) -> None:
            assert isinstance(transport, Real)

    loop: Any = HungUp()
    assert await Loop(loop).start_tls(Transport(Real()), None, None) is None


async def test_everything_else_of_the_loop_is_the_real_ones() -> None:
    real = asyncio.get_running_loop()
    wrapped = Loop(real)
    assert wrapped.real is real
    assert wrapped.time == real.time
    assert wrapped.create_future == real.create_future
