"""The statements that digitwin sends, recorded from the driver when a run begins.

The floor, psycopg and node-pg send these. They bind a call's own values where digitwin bound them,
and check nothing. What is recorded is what the driver's protocol executes, so that it does not
matter which of its methods, or which prepared statement, digitwin calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import UUID

from asyncpg.protocol.protocol import Protocol

from benchmarks.filling import Size
from benchmarks.operations import Operation
from benchmarks.peers.base import VALUES, Place, Statement, columns_of
from benchmarks.peers.ours import Digitwin
from digitwin.models import ConversationSession, ConversationTurn

Sent = tuple[Any, tuple[Any, ...]]
"""The driver's prepared statement, and the parameters."""


async def record(place: Place, operations: Sequence[Operation], size: Size) -> dict[str, Statement]:
    """Call each operation of digitwin once, and return the statement that it sent."""
    peer = Digitwin(place)
    await peer.open()
    try:
        return {each.call: await _sent_by(peer, each, size) for each in operations}
    finally:
        await peer.close()


async def _sent_by(peer: Digitwin, operation: Operation, size: Size) -> Statement:
    arguments = operation.arguments(size)[0]
    with _tapped() as sent:
        await getattr(peer, operation.call)(*arguments)
    if len(sent) != 1:
        raise AssertionError(f"{operation.title} sent {len(sent)} statements: one is compared")
    ((prepared, parameters),) = sent
    values = VALUES[operation.call](*arguments)
    return Statement(
        operation.call,
        prepared.query,
        parameters,
        [_place(parameters, value) for value in values],
        [*_fresh(parameters, values)],
        _columns(operation, [attribute.name for attribute in prepared._get_attributes()]),
    )


def _columns(operation: Operation, sent: list[str]) -> list[str]:
    """The names of the result's columns. Those of turns behind a session's are not told.

    A turn may come without the columns that say whose it is.
    """
    if operation.call != "session_with_turns":
        return sent
    session, turn = columns_of(ConversationSession), columns_of(ConversationTurn)
    short = [name for name in turn if name not in ("user_id", "session_id")]
    for names in ([*session, *turn], [*session, *short]):
        if len(names) == len(sent):
            return names
    raise AssertionError(f"{operation.title}: the names of {len(sent)} columns are not known")


@contextmanager
def _tapped() -> Iterator[list[Sent]]:
    """What any connection executes meanwhile."""
    sent: list[Sent] = []
    execute = Protocol.bind_execute

    # its names for them: some callers give all arguments by name
    def tapped(protocol: Any, state: Any, args: Any, *rest: Any, **more: Any) -> Any:
        sent.append((state, tuple(args)))
        return execute(protocol, state, args, *rest, **more)

    with patch.object(Protocol, "bind_execute", tapped):
        yield sent


def _place(parameters: Sequence[Any], value: Any) -> tuple[int, bool]:
    """The position of the parameter that holds a value, and whether it is a list of it alone."""
    ((n, listed),) = (
        (n, each == [value])
        for n, each in enumerate(parameters)
        if each == [value] or (type(each) is type(value) and each == value)
    )
    return n, listed


def _fresh(parameters: Sequence[Any], values: Sequence[Any]) -> Iterator[tuple[int, bool]]:
    """The places of ids that digitwin made for this call."""
    for n, each in enumerate(parameters):
        listed = isinstance(each, list) and len(each) == 1
        one = each[0] if listed else each
        if isinstance(one, UUID) and one.int and one not in values:
            yield n, listed
