"""Tortoise on our connections: its client, its executor, and our models' one initialisation.

A queryset, a relation and a repository's own SQL meet on the same connection: the client
asks for the task's open transaction first, then for a connection of the pool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast
from uuid import UUID

from tortoise.apps import Apps
from tortoise.backends.asyncpg.executor import AsyncpgExecutor
from tortoise.connection import ConnectionHandler
from tortoise.expressions import Expression
from tortoise.models import Model
from tortoise.queryset import QuerySet

from digitwin.errors import InvalidStateError, StaleVersionError
from digitwin.kernel import active, faults
from digitwin.kernel.pool import Pool, cut
from digitwin.kernel.transactions import Transaction

APP = "digitwin"
_FIXED = {"id", "user_id", "created_at", "updated_at", "version", "deleted_at", "deletion_id"}


class Keeper(AsyncpgExecutor):
    """Writes instances back without losing anybody's update."""

    async def execute_select(self, *args: Any, **kwargs: Any) -> list[Any]:
        rows = await super().execute_select(*args, **kwargs)
        for row in rows:
            stamp(row, self.db)
        return rows

    async def execute_insert(self, instance: Model) -> None:
        method = getattr(self.model, "create_through", None)
        if method is not None:
            raise InvalidStateError(f"Create through the repository: {method}")
        await super().execute_insert(instance)
        stamp(instance, self.db)

    async def execute_update(
        self, instance: type[Model] | Model, update_fields: Iterable[str] | None
    ) -> int:
        meta = self.model._meta
        names = [n for n in update_fields or meta.fields_db_projection if n not in _FIXED]
        if update_fields is not None and len(names) < len(list(update_fields)):
            fixed = sorted(_FIXED.intersection(update_fields))
            raise InvalidStateError(f"{', '.join(fixed)} cannot be saved", field=fixed[0])
        statement, values = self._update(instance, names)
        rows = await cast(HandleClient, self.db).execute_query_dict(statement, values)
        if not rows:
            raise await self._refusal(instance)
        for name, value in rows[0].items():
            setattr(instance, name, value)
        return 1

    def _update(self, instance: Any, names: list[str]) -> tuple[str, list[Any]]:
        meta = self.model._meta
        values: list[Any] = []

        def bind(name: str) -> str:
            value = getattr(instance, name)
            if isinstance(value, Expression):
                raise InvalidStateError(f"{name} is an expression: use a queryset's update()")
            values.append(meta.fields_map[name].to_db_value(value, instance))
            return f'"{meta.fields_db_projection[name]}" = ${len(values)}'

        guarded = _guarded(self.model)
        changes = [bind(name) for name in names if name not in guarded]
        moving = [name for name in _MOVES if name in meta.fields_map]
        changes += [_MOVES[name] for name in moving]
        fixed = [name for name in (meta.pk_attr, "user_id", "version") if name in meta.fields_map]
        where = [bind(name) for name in (*fixed, *guarded)]
        if "deleted_at" in meta.fields_map:
            where.append('"deleted_at" IS NULL')
        returning = ", ".join(f'"{name}"' for name in moving or [meta.db_pk_column])
        return (
            f'WITH saved AS (UPDATE "{meta.db_table}" SET {", ".join(changes)}'
            f" WHERE {' AND '.join(where)} RETURNING {returning}) SELECT * FROM saved",
            values,
        )

    async def _refusal(self, instance: Any) -> InvalidStateError | StaleVersionError:
        for name, method in _guarded(self.model).items():
            row = (
                await self.model._meta.manager.get_queryset()
                .using_db(self.db)
                .get_or_none(pk=instance.pk)
            )
            if row is not None and getattr(row, name) != getattr(instance, name):
                return InvalidStateError(f"Change {name} through the repository: {method}")
        return StaleVersionError(table=self.model._meta.db_table, id=str(instance.pk))


_MOVES = {"updated_at": '"updated_at" = now()', "version": '"version" = "version" + 1'}


def _guarded(model: type[Model]) -> dict[str, str]:
    return getattr(model, "change_through", {})


class HandleClient(active.Client):
    """The Tortoise client of one handle."""

    executor_class = Keeper

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.deleters: dict[type[Model], Callable[[UUID], Awaitable[Any]]] = {}

    async def delete_instance(self, instance: Model) -> None:
        """Delete a row as its repository does."""
        await self.deleters[type(instance)](instance.pk)

    def acquire_connection(self) -> Any:
        return _lend(self.pool)

    def _in_transaction(self) -> Any:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> Any:
        outer = Transaction.of(self.pool)
        block: AbstractAsyncContextManager[Any] = (
            Transaction(self.pool) if outer is None else outer.savepoint()
        )
        async with block:
            yield self

    async def execute_many(self, query: str, values: list[Any]) -> None:
        async with self._transaction():
            await self._many(query, values)

    async def _many(self, query: str, values: list[Any]) -> None:
        async with self.acquire_connection() as connection:
            try:
                await connection.executemany(query, values)
            except faults.DRIVER as fault:
                raise faults.translate(fault) or fault from fault

    async def _translate_exceptions(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await func(self, *args, **kwargs)
        except faults.DRIVER as fault:
            write = Transaction.of(self.pool) is None and not _reads(str(args[0]))
            raise faults.translate(fault, write=write) or fault from fault


@asynccontextmanager
async def _lend(pool: Pool) -> Any:
    """A connection for one statement of Tortoise's, in the task's transaction if one is open."""
    frame = Transaction.of(pool)
    if frame is not None:
        async with _watched(frame.connection):
            yield frame.connection
        return
    connection, well = await pool.acquire(), False
    try:
        async with _watched(connection):
            yield connection
        well = True
    except faults.OUT_OF_STEP:
        cut(connection)
        raise
    finally:
        await pool.release(connection, well=well)


@asynccontextmanager
async def _watched(connection: Any) -> Any:
    connection.watch.begin(connection)
    try:
        yield
    except faults.DRIVER as fault:
        if not connection.watch.end(connection):
            raise TimeoutError from fault
        raise
    finally:
        connection.watch.end(connection)


def _reads(query: str) -> bool:
    return query.lstrip().upper().startswith("SELECT")


def stamp(instance: Any, client: Any) -> None:
    """Remember which handle an instance came from: its relations are read there."""
    instance.__dict__["_origin"] = client.origin


def initialise(module: str) -> None:
    """Wire up our models, once a process, beside and untouched by any other Tortoise app."""
    apps = Apps(
        {APP: {"models": [module], "default_connection": APP}},
        _NoConnections(),
        validate_connections=False,
    )
    apps._build_initial_querysets()
    for model in apps.get_models_iterable():
        _bind_relations(model)


class _NoConnections(ConnectionHandler):
    """Tortoise wants to know its connections; ours are chosen at each use."""

    def __init__(self) -> None:
        super().__init__()
        self._db_config = {APP: {}}


def _bind_relations(model: type[Model]) -> None:
    from digitwin.kernel.base import BoundRelation

    for name in model._meta.fk_fields:
        forward = getattr(model, name)
        setattr(model, name, property(_at_home(forward.fget), forward.fset, forward.fdel))
    for name in model._meta.backward_fk_fields:
        setattr(model, name, property(_reverse(getattr(model, name).fget, BoundRelation)))


def _at_home(getter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get(instance: Any) -> Any:
        home = active.client_of(instance)
        token = active.activate(home)
        try:
            found = getter(instance)
        finally:
            active.deactivate(token)
        # whoever awaits it later may do so with another handle active
        return found.using_db(home) if isinstance(found, QuerySet) else found

    return get


def _reverse(getter: Callable[[Any], Any], kind: type[Any]) -> Callable[[Any], Any]:
    def get(instance: Any) -> Any:
        relation = getter(instance)
        relation.__class__ = kind
        return relation

    return get
