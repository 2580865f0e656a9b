"""Which handle a model uses.

Tortoise keeps one connection for each model, and a process may have several handles with a
database each. Models therefore look up their client at each use: the handle activated in this
task, else the only open one, else a client that refuses every query and says how to choose.
There is no guess, so a model never reads the wrong database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from pypika_tortoise.terms import Criterion, Term
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.asyncpg.executor import AsyncpgExecutor
from tortoise.contrib.postgres.json_functions import postgres_json_filter
from tortoise.filters import json_filter
from tortoise.models import MetaInfo

from digitwin.errors import InvalidStateError

_active: ContextVar[Client | None] = ContextVar("digitwin_active", default=None)
_live: dict[str, Client] = {}


class Found(NamedTuple):
    """A row to delete, unless it has changed since it was found."""

    user_id: UUID
    id: UUID
    version: int


Find = Callable[[int, int], Awaitable[list[Found]]]
"""Finds rows that are not deleted yet: how many at most, and how many were deleted before."""


class Deleter(NamedTuple):
    """How a model's repository deletes."""

    one: Callable[[UUID], Awaitable[Any]]
    found: Callable[[Find], Awaitable[int]]


class Client(AsyncpgDBClient):
    """A Tortoise client with an ``origin``: its handle's name, unique across processes."""

    def __init__(self) -> None:
        super().__init__(connection_name="digitwin")
        self.origin = uuid4().hex
        self.loop: asyncio.AbstractEventLoop | None = None

    async def delete_instance(self, instance: Any) -> None:
        """Delete a row as its repository does."""
        raise NotImplementedError

    async def delete_found(self, model: type[Any], find: Find) -> int:
        """Delete rows as their repository does, as one deletion; return how many."""
        raise NotImplementedError

    def for_origin(self, scope: str) -> Client:
        """Return the client of this handle for the scope in an instance's origin."""
        raise NotImplementedError


def _json_filter(field: Term, value: dict[str, Any]) -> Criterion:
    # Tortoise interpolates the keys of a JSON filter into the statement unescaped.
    return postgres_json_filter(field, {k.replace("'", "''"): v for k, v in value.items()})


class TortoiseExecutor(AsyncpgExecutor):
    """Tortoise's executor without the SQL injection through keys of JSON filters."""

    FILTER_FUNC_OVERRIDE = AsyncpgExecutor.FILTER_FUNC_OVERRIDE | {json_filter: _json_filter}


class _NoClient(Client):
    """Lets queries be built where no handle can be chosen; refuses to execute them."""

    executor_class = TortoiseExecutor

    async def delete_instance(self, instance: Any) -> None:
        raise _cannot_choose()

    async def delete_found(self, model: type[Any], find: Find) -> int:
        raise _cannot_choose()

    def acquire_connection(self) -> Any:
        raise _cannot_choose()

    def _in_transaction(self) -> Any:
        raise _cannot_choose()

    def for_origin(self, scope: str) -> Client:
        raise _cannot_choose()


NO_CLIENT = _NoClient()


class BoundMeta(MetaInfo):
    """Tortoise's metadata of a digitwin model; the connection is looked up at each use."""

    __slots__ = ()

    @property
    def db(self) -> Client:
        return client()


def register(client: Client) -> None:
    """Add a handle to the open ones, and drop those whose event loop is closed."""
    for other in list(_live.values()):
        if other.loop is not None and other.loop.is_closed():
            unregister(other)
    client.loop = asyncio.get_running_loop()
    _live[client.origin] = client


def unregister(client: Client) -> None:
    """Remove a closed handle from the open ones."""
    _live.pop(client.origin, None)


def disinherit() -> None:
    """Forget every handle: this process was forked from the one that opened them."""
    _live.clear()
    _active.set(None)


def activate(client: Client) -> Token[Client | None]:
    """Make models use this handle in the current task, until :func:`deactivate`."""
    return _active.set(client)


def deactivate(token: Token[Client | None]) -> None:
    """Undo :func:`activate`."""
    _active.reset(token)


@contextmanager
def activated(client: Client) -> Iterator[None]:
    """Make models use this handle inside the block."""
    token = activate(client)
    try:
        yield
    finally:
        deactivate(token)


def activated_client() -> Client | None:
    """Return the client that is activated in this task, if any."""
    return _active.get()


def client() -> Client:
    """Return the client for a query that is awaited here; it may be one that refuses."""
    active = _active.get()
    if active is not None:
        return active
    return next(iter(_live.values())) if len(_live) == 1 else NO_CLIENT


def client_of(instance: Any) -> Client:
    """Return the client an instance was read with; for a new instance, :func:`client`.

    Raises:
        InvalidStateError: its handle is closed, and no other one is activated.
    """
    origin = instance.__dict__.get("_origin")
    if origin is None:
        return client()
    handle, _, scope = origin.partition("/")
    found = _live.get(handle)
    if found is not None:
        return found.for_origin(scope)
    active = _active.get()
    if active is None:
        raise InvalidStateError(
            "The handle this object was read with is closed: use it inside `with db.activate():`"
        )
    return active


def _cannot_choose() -> InvalidStateError:
    if _live:
        return InvalidStateError(
            f"{len(_live)} digitwin handles are open: choose one for the model with"
            " `with db.activate():`",
            handles=len(_live),
        )
    return InvalidStateError("No digitwin handle is open: models need `digitwin.connect()` first")
