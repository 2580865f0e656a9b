"""The statements that digitwin sends, recorded from its connections when a run begins.

The floor and psycopg send these. They bind a call's own values where digitwin bound them, and
check nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import asyncpg
from asyncpg.connection import LoggedQuery

from benchmarks.filling import Size, dumps, pack
from benchmarks.operations import Operation
from benchmarks.peers.base import Place, Statement
from benchmarks.peers.ours import Digitwin
from digitwin import uuid7


async def record(place: Place, operations: Sequence[Operation], size: Size) -> dict[str, Statement]:
    """Call each operation of digitwin once, and return the statement that it sent."""
    with _logged() as sent:
        peer = Digitwin(place)
        await peer.open()
        try:
            return {each.name: await _sent_by(peer, each, size, sent) for each in operations}
        finally:
            await peer.close()


async def _sent_by(
    peer: Digitwin, operation: Operation, size: Size, sent: list[LoggedQuery]
) -> Statement:
    arguments = operation.arguments(size)[0]
    sent.clear()
    result = await getattr(peer, operation.name)(*arguments)
    await asyncio.sleep(0)  # asyncpg calls its loggers in the loop's next turn
    (query,) = sent
    values = VALUES[operation.name]
    bound = list(values(*arguments))
    if operation.name == "add_turn":
        bound[0] = result.id  # digitwin generates it, as the peers do
    return Statement(query.query, query.args, [_place(query, each) for each in bound], values)


def _place(query: LoggedQuery, value: Any) -> int:
    """The position of the parameter that holds a value."""
    (place,) = (n for n, each in enumerate(query.args) if each == value)
    return place


@contextmanager
def _logged() -> Iterator[list[LoggedQuery]]:
    """Every statement of the connections that are opened meanwhile."""
    sent: list[LoggedQuery] = []
    create = asyncpg.Connection.__init__

    def create_logged(connection: asyncpg.Connection, *args: Any, **kwargs: Any) -> None:
        create(connection, *args, **kwargs)
        connection.add_query_logger(sent.append)

    with patch.object(asyncpg.Connection, "__init__", create_logged):
        yield sent


def _turn(user_id: Any, session_id: Any, turn: Any) -> tuple[Any, ...]:
    texts = turn["user_text"], turn["twin_text"]
    return uuid7(), session_id, *texts, *turn["timings"].values(), *turn["usage"].values()


def _response(key: str, response: Any) -> tuple[Any, ...]:
    text = dumps(response)
    return key, text, len(text.encode())


VALUES: Final[Mapping[str, Callable[..., tuple[Any, ...]]]] = {
    "user_by_email": lambda user_id, email: (email,),
    "session_with_turns": lambda user_id, session_id: (session_id,),
    "add_turn": _turn,
    "embedding_get": lambda key: (key,),
    "embedding_set": lambda key, vector: (key, pack(vector)),
    "response_get": lambda key: (key,),
    "response_set": _response,
    "consume": lambda subject: (subject,),
}
"""The parameters that differ between the calls of an operation, made of its arguments."""
