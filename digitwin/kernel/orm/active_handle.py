"""Which handle a model speaks to.

Tortoise keeps one connection for each model; we keep several handles, each with a
database of its own. A model therefore asks here, every time: the handle activated in
this task, else the only live one in the process, else nobody, with an error that says
how to choose. It never guesses, so it never reads the wrong database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any
from uuid import uuid4

from pypika_tortoise.terms import Criterion, Term
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.asyncpg.executor import AsyncpgExecutor
from tortoise.contrib.postgres.json_functions import postgres_json_filter
from tortoise.filters import json_filter
from tortoise.models import MetaInfo

from digitwin.errors import InvalidStateError

_active: ContextVar[Client | None] = ContextVar("digitwin_active", default=None)
_live: dict[str, Client] = {}


class Client(AsyncpgDBClient):
    """A Tortoise client that knows its handle's name, unique across processes."""

    def __init__(self) -> None:
        super().__init__(connection_name="digitwin")
        self.origin = uuid4().hex
        self.loop: asyncio.AbstractEventLoop | None = None

    async def delete_instance(self, instance: Any) -> None:
        """Delete a row as its repository does."""
        raise NotImplementedError

    def of_origin(self, rest: str) -> Client:
        """The client of what an instance's stamp says behind the handle's name."""
        raise NotImplementedError


def _json_filter(field: Term, value: dict[str, Any]) -> Criterion:
    """Tortoise writes the keys of a JSON filter into the statement as they are."""
    return postgres_json_filter(field, {k.replace("'", "''"): v for k, v in value.items()})


class TortoiseExecutor(AsyncpgExecutor):
    """Tortoise's executor, without its way in for foreign SQL."""

    FILTER_FUNC_OVERRIDE = AsyncpgExecutor.FILTER_FUNC_OVERRIDE | {json_filter: _json_filter}


class _Nobody(Client):
    """Stands in while models are built and where no handle can be chosen: it refuses queries."""

    executor_class = TortoiseExecutor

    async def delete_instance(self, instance: Any) -> None:
        raise _cannot_choose()

    def acquire_connection(self) -> Any:
        raise _cannot_choose()

    def _in_transaction(self) -> Any:
        raise _cannot_choose()

    def of_origin(self, rest: str) -> Client:
        raise _cannot_choose()


NOBODY = _Nobody()


class BoundMeta(MetaInfo):
    """Tortoise's metadata of a model of ours, whose connection is chosen at each use."""

    __slots__ = ()

    @property
    def db(self) -> Client:
        return client()


def join(client: Client) -> None:
    """Count this handle among the live ones, and no more those whose event loop is gone."""
    for other in list(_live.values()):
        if other.loop is not None and other.loop.is_closed():
            leave(other)
    client.loop = asyncio.get_running_loop()
    _live[client.origin] = client


def leave(client: Client) -> None:
    """Forget a closed handle."""
    _live.pop(client.origin, None)


def activate(client: Client) -> Token[Client | None]:
    """Make this handle the one that models use in the current task."""
    return _active.set(client)


def deactivate(token: Token[Client | None]) -> None:
    """Undo :func:`activate`."""
    _active.reset(token)


@contextmanager
def at(client: Client) -> Iterator[None]:
    """Speak to this handle within."""
    token = activate(client)
    try:
        yield
    finally:
        deactivate(token)


def chosen() -> Client | None:
    """The client that was activated in this task."""
    return _active.get()


def client() -> Client:
    """The client that a query awaited here and now belongs to; it may be one that refuses."""
    active = _active.get()
    if active is not None:
        return active
    return next(iter(_live.values())) if len(_live) == 1 else NOBODY


def client_of(instance: Any) -> Client:
    """The client an instance came from; a new instance belongs to :func:`client`.

    Raises:
        InvalidStateError: its handle is closed, and no other was activated for it.
    """
    origin = instance.__dict__.get("_origin")
    if origin is None:
        return client()
    handle, _, scope = origin.partition("/")
    home = _live.get(handle)
    if home is not None:
        return home.of_origin(scope)
    home = _active.get()
    if home is None:
        raise InvalidStateError(
            "The handle this object came from is closed: use it inside `with db.activate():`"
        )
    return home


def _cannot_choose() -> InvalidStateError:
    if _live:
        return InvalidStateError(
            f"{len(_live)} digitwin handles are open: say which one the model belongs to,"
            " `with db.activate():`",
            handles=len(_live),
        )
    return InvalidStateError("No digitwin handle is open: models need `digitwin.connect()` first")
