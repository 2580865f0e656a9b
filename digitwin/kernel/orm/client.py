"""Tortoise on our connections: its client, its executor, and our models' one initialisation.

A queryset, a relation and a repository's own SQL meet on the same connection: the client
asks for the task's open transaction first, then for a connection of the pool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from tortoise.apps import Apps
from tortoise.connection import ConnectionHandler
from tortoise.expressions import Expression
from tortoise.fields.base import DatabaseDefault
from tortoise.models import Model
from tortoise.queryset import QuerySet

from digitwin.errors import InvalidStateError, StaleVersionError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.pool import Pool, cut
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.orm import active_handle, writes
from digitwin.kernel.orm.active_handle import TortoiseExecutor
from digitwin.kernel.orm.parent_visibility import shelter_of, under_shelter
from digitwin.kernel.orm.relations import of_their_owners
from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.columns import columns, register
from digitwin.kernel.sql.queries import compiled

APP = "digitwin"


class ModelExecutor(TortoiseExecutor):
    """Reads from one handle alone, and writes back without losing anybody's update."""

    async def execute_select(self, *args: Any, **kwargs: Any) -> list[Any]:
        with active_handle.at(self._home):
            return await super().execute_select(*args, **kwargs)

    async def execute_union(self, *args: Any, **kwargs: Any) -> list[Any]:
        with active_handle.at(self._home):
            return await super().execute_union(*args, **kwargs)

    async def _execute_prefetch_queries(self, instance_list: Any) -> Any:
        """One after the other: a transaction belongs to the task that opened it."""
        if instance_list and (self.prefetch_map or self._prefetch_queries):
            with active_handle.at(self._home):
                self._make_prefetch_queries()
                for name, queries in self._prefetch_queries.items():
                    for to, query in queries:
                        await self._do_prefetch(instance_list, name, (to, query.using_db(self.db)))
        return instance_list

    async def _prefetch_reverse_relation(
        self, instance_list: Any, field: str, related_query: Any
    ) -> Any:
        name, rows = related_query
        rows = of_their_owners(rows, instance_list)
        return await super()._prefetch_reverse_relation(instance_list, field, (name, rows))

    async def execute_insert(self, instance: Model) -> None:
        writes.refuse_creation(self.model)
        for name in self.model._meta.fields_db_projection:
            value = getattr(instance, name)
            if not isinstance(value, DatabaseDefault):
                writes.stored(self.model, name, value, instance)
        async with under_shelter(self.db, self.model, [instance]):
            await super().execute_insert(instance)
        stamp(instance, self.db)

    async def execute_update(
        self, instance: type[Model] | Model, update_fields: Iterable[str] | None
    ) -> int:
        statement, values = self._update(instance, writes.columns(self.model, update_fields))
        rows = await self._home.execute_query_dict(statement, values)
        if not rows:
            raise await self._refusal(instance)
        for name, value in rows[0].items():
            setattr(instance, name, value)
        return 1

    def _update(self, instance: Any, names: list[str]) -> tuple[str, list[Any]]:
        meta, guarded = self.model._meta, writes.guarded(self.model)
        values: dict[str, Any] = {}

        def bind(name: str, sign: str = "=") -> str:
            values[name] = self._value(instance, name)
            return f'"{meta.fields_db_projection[name]}" {sign} :{name}'

        own = [name for name in names if name not in guarded]
        changes = [bind(name) for name in own]
        changes += [move for name, move in _MOVES.items() if name in meta.fields_map]
        where = [bind(name) for name in self._identity()]
        where += [bind(name, "IS NOT DISTINCT FROM") for name in self._seen(instance)]
        if "deletion_id" in meta.fields_map:
            where.append('"deleted_at" IS NULL')
        if (shelter := shelter_of(self.model)) is not None:
            where.append(shelter.stands(meta.db_table))
        told = [name for name in _TOLD if name in meta.fields_map] or [meta.db_pk_column]
        condition, found = f" WHERE {' AND '.join(where)}", ", ".join(told)
        if not audit_step.is_recorded(self.model):
            query = compiled(
                f'WITH saved AS (UPDATE "{meta.db_table}" SET {", ".join(changes)}{condition}'
                f" RETURNING {found}) SELECT * FROM saved"
            )
        else:
            steps = audit_step.update(
                self.model, own, changes, condition, columns(self.model, "t.")
            )
            query = compiled(f"WITH {steps} SELECT {found} FROM done")
        return query.sql, query.bind(values)

    def _seen(self, instance: Any) -> list[str]:
        """The fields that only a repository changes, as far as they can be compared."""
        return [
            name
            for name in writes.guarded(self.model)
            if name in instance.__dict__ and not writes.still_as_opened(instance, name)
        ]

    def _identity(self) -> list[str]:
        """What a row is found by: it must be the one that was read, as it was read."""
        meta = self.model._meta
        return [name for name in (meta.pk_attr, "user_id", "version") if name in meta.fields_map]

    def _value(self, instance: Any, name: str) -> Any:
        if name not in instance.__dict__:
            raise InvalidStateError(f"{name} was not loaded: `refresh_from_db()` first", field=name)
        value = instance.__dict__[name]
        if isinstance(value, Expression):
            raise InvalidStateError(f"{name} is an expression: use a queryset's update()")
        return writes.stored(self.model, name, value, instance)

    async def _refusal(self, instance: Any) -> InvalidStateError | StaleVersionError:
        rows = self.model._meta.manager.get_queryset().using_db(self.db)
        row = await rows.filter(pk=instance.pk).first()
        if row is not None and getattr(row, "version", None) == instance.__dict__.get("version"):
            if getattr(row, "user_id", None) != instance.__dict__.get("user_id"):
                return InvalidStateError("user_id never changes", field="user_id")
            for name in self._seen(instance):
                if getattr(row, name) != instance.__dict__[name]:
                    return writes.through_repository(self.model, name)
        return StaleVersionError(table=self.model._meta.db_table, id=str(instance.pk))

    @property
    def _home(self) -> active_handle.Client:
        return cast(active_handle.Client, self.db)


_MOVES = {"updated_at": '"updated_at" = now()', "version": '"version" = "version" + 1'}
_TOLD = ("created_at", "updated_at", "version")
"""What a save tells the instance, whatever stood there."""


SCOPES_AT_HAND = 1024
"""Scopes of which a handle keeps the client; more are made anew as they are needed."""


class HandleClient(active_handle.Client):
    """The Tortoise client of one handle."""

    executor_class = ModelExecutor

    def __init__(self, pool: Pool, scope: Scope = UNSCOPED) -> None:
        super().__init__()
        self.pool = pool
        self.scope = scope
        self.deleter: Callable[[Scope, type[Model]], Callable[[UUID], Awaitable[Any]]]
        self.handle = self
        self.under = lru_cache(SCOPES_AT_HAND)(self._under)

    def _under(self, scope: Scope) -> HandleClient:
        """The same handle on behalf of a scope: whatever it reads is asked there again."""
        scoped = HandleClient(self.pool, scope)
        scoped.origin, scoped.loop = f"{self.origin}/{scope.text}", self.loop
        scoped.handle = self
        return scoped

    def of_origin(self, rest: str) -> HandleClient:
        return self.under(Scope.of_text(rest)) if rest else self

    async def delete_instance(self, instance: Any) -> None:
        await self.handle.deleter(self.scope, type(instance))(instance.pk)

    def acquire_connection(self) -> Any:
        return _lend(self.pool, self.scope)

    def _in_transaction(self) -> Any:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> Any:
        outer = Transaction.of(self.pool)
        block: AbstractAsyncContextManager[Any] = (
            Transaction(self.pool, self.scope)
            if outer is None
            else outer.savepoint(self._in(outer))
        )
        async with block:
            yield self

    def _in(self, frame: Transaction) -> Scope:
        return _within(frame, self.scope)

    async def execute_many(self, query: str, values: list[Any]) -> None:
        async with self._transaction():
            await self._many(query, values)

    async def _many(self, query: str, values: list[Any]) -> None:
        async with self.acquire_connection() as connection:
            try:
                await connection.executemany(query, values)
            except driver_errors.DRIVER as fault:
                raise driver_errors.translate(fault) or fault from fault

    async def _translate_exceptions(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await func(self, *args, **kwargs)
        except driver_errors.DRIVER as fault:
            write = Transaction.of(self.pool) is None and not _reads(str(args[0]))
            raise driver_errors.translate(fault, write=write) or fault from fault


def _within(frame: Transaction, scope: Scope) -> Scope:
    """What names no scope of its own is on behalf of whoever opened the transaction."""
    return frame.scope if scope is UNSCOPED else scope


@asynccontextmanager
async def _lend(pool: Pool, scope: Scope) -> Any:
    """A connection for one statement of Tortoise's, in the task's transaction if one is open."""
    frame = Transaction.of(pool)
    if frame is not None:
        connection = await frame.under(_within(frame, scope))
        async with _watched(connection):
            yield connection
        return
    if scope is not UNSCOPED:
        async with Transaction(pool, scope) as frame, _watched(frame.connection):
            yield frame.connection
        return
    connection, well = await pool.acquire(), False
    try:
        async with _watched(connection):
            yield connection
        well = True
    except driver_errors.OUT_OF_STEP:
        cut(connection)
        raise
    finally:
        await pool.release(connection, well=well)


@asynccontextmanager
async def _watched(connection: Any) -> Any:
    connection.watch.begin(connection)
    try:
        yield
    except driver_errors.DRIVER as fault:
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
        register(model)


class _NoConnections(ConnectionHandler):
    """Tortoise wants to know its connections; ours are chosen at each use."""

    def __init__(self) -> None:
        super().__init__()
        self._db_config = {APP: {}}


def _bind_relations(model: type[Model]) -> None:
    from digitwin.kernel.orm.model import BoundRelation

    for name in model._meta.fk_fields:
        forward = getattr(model, name)
        setattr(model, name, property(_at_home(forward.fget), forward.fset, forward.fdel))
    for name in model._meta.backward_fk_fields:
        setattr(model, name, property(_reverse(getattr(model, name).fget, BoundRelation)))


def _at_home(getter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get(instance: Any) -> Any:
        home = active_handle.client_of(instance)
        token = active_handle.activate(home)
        try:
            found = getter(instance)
        finally:
            active_handle.deactivate(token)
        # whoever awaits it later may do so with another handle active
        return found.using_db(home) if isinstance(found, QuerySet) else found

    return get


def _reverse(getter: Callable[[Any], Any], kind: type[Any]) -> Callable[[Any], Any]:
    def get(instance: Any) -> Any:
        relation = getter(instance)
        relation.__class__ = kind
        return relation

    return get
