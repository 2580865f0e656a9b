"""What every repository offers, over one table; its own words come on top.

Public methods of the repositories are thin and typed; what they share lives here. Input is
validated before a statement is sent, a statement is one round trip, and every statement
carries the owner whenever the caller or the scope names one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.orm.hydration import hydrate
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import Line, bounded, validate
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor
from digitwin.kernel.sql import actor, crud
from digitwin.kernel.sql.audit_step import parameters

M = TypeVar("M", bound=Model)

_REASON: TypeAdapter[str] = TypeAdapter(Annotated[str, Line(500)])

MAX_ROWS = 10_000
"""Rows of one ``create_many``: a statement and its lock stay short."""


class Repository:
    """A part of a handle; ``scope`` binds it to one person."""

    def __init__(self, core: Core, *, scope: UUID | None = None) -> None:
        self._core = core
        self._scope = scope

    def _owner(self, user_id: object = None) -> UUID | None:
        """The person a call is about, if it says; under a scope never another one.

        Raises:
            NotFoundError: the scope is another person's.
        """
        if user_id is None:
            return self._scope
        owner = parse_id(user_id, "user_id")
        if self._scope is not None and owner != self._scope:
            raise NotFoundError("user not found", field="user_id", user_id=str(owner))
        return owner

    def _require_owner(self, user_id: object = None) -> UUID:
        """As :meth:`_owner`, where somebody must be named."""
        owner = self._owner(user_id)
        if owner is None:
            raise InvalidInputError(
                "user_id is missing: pass it, or use db.for_user(user_id)", field="user_id"
            )
        return owner


class EntityRepository(Repository, Generic[M]):
    """Create, read, list, stream, change and count the rows of one table."""

    model: ClassVar[type[Model]]
    noun: ClassVar[str]
    new: ClassVar[TypeAdapter[Any]]
    changes: ClassVar[TypeAdapter[Any]]
    filters: ClassVar[TypeAdapter[Any]]

    @operation
    async def get(self, id: UUID | str, *, user_id: UUID | str | None = None) -> M:
        """The row with this id.

        Raises:
            NotFoundError: there is none for this caller.
            InvalidInputError: ``id`` is not a UUID.
        """
        return await self._get(id, user_id)

    @operation
    async def find(self, id: UUID | str, *, user_id: UUID | str | None = None) -> M | None:
        """The row with this id, or None."""
        return await self._find(id, user_id)

    async def _get(self, id: object, user_id: object, *, include_deleted: bool = False) -> M:
        row = await self._find(id, user_id, include_deleted=include_deleted)
        if row is None:
            raise self._missing(id)
        return row

    async def _find(
        self, id: object, user_id: object, *, include_deleted: bool = False
    ) -> M | None:
        key = self._key(id, user_id)
        query = crud.select(self.model, tuple(key), hidden=include_deleted)
        record = await self._core.db.fetchrow(query, **key)
        return None if record is None else self._row(record)

    async def _create(self, id: object, fields: Mapping[str, Any]) -> M:
        given = self._new_row(id, fields)
        row = await self._to_store(given, given)
        query = crud.insert(self.model, tuple(row))
        record = await self._core.db.fetchrow(query, **crud.encode(self.model, row))
        if record is None:
            raise no_owner(row["user_id"])
        return self._row(record)

    async def _create_many(self, rows: Iterable[Mapping[str, Any]]) -> list[M]:
        given = [self._new_row(row.pop("id", None), row) for row in listed(rows)]
        if len({row["id"] for row in given}) < len(given):
            raise AlreadyExistsError("id is given twice", field="id")
        given = [await self._to_store(row, row) for row in given]
        shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in given:
            shapes.setdefault(tuple(row), []).append(row)
        made: dict[UUID, M] = {}
        async with self._core.transaction():
            for names, alike in shapes.items():
                made.update(await self._insert_alike(names, alike))
        return [made[row["id"]] for row in given]

    async def _insert_alike(
        self, names: tuple[str, ...], rows: list[dict[str, Any]]
    ) -> dict[UUID, M]:
        query = crud.insert_many(self.model, names)
        encoded = [crud.encode(self.model, row) for row in rows]
        columns = {name: [row[name] for row in encoded] for name in names}
        records = await self._core.db.fetch(query, **columns, **parameters(len(rows)))
        if len(records) < len(rows):
            living = {record["user_id"] for record in records}
            raise no_owner(next(r["user_id"] for r in rows if r["user_id"] not in living))
        return {record["id"]: self._row(record) for record in records}

    async def _list(
        self,
        filters: Mapping[str, Any],
        *,
        limit: object,
        after: object,
        include_deleted: bool = False,
    ) -> Page[M]:
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        equal, null = self._conditions(filters)
        query = crud.select(
            self.model,
            tuple(equal),
            null,
            hidden=include_deleted,
            after=after is not None,
            tail=f" ORDER BY id LIMIT {size + 1}",
        )
        start = None if after is None else decode_cursor(after, "after")
        records = await self._core.db.fetch(query, **equal, after=start)
        rows = [self._row(record) for record in records]
        more = len(rows) > size
        rows = rows[:size]
        return Page(rows, encode_cursor(rows[-1].pk) if more else None)

    async def _stream(
        self, filters: Mapping[str, Any], *, include_deleted: bool = False
    ) -> AsyncGenerator[M, None]:
        equal, null = self._conditions(filters)
        query = crud.select(
            self.model, tuple(equal), null, hidden=include_deleted, tail=" ORDER BY id"
        )
        async with aclosing(self._core.db.stream(query, **equal)) as records:
            async for record in records:
                yield self._row(record)

    async def _update(self, id: object, changes: Mapping[str, Any], expected_version: object) -> M:
        values, key = self._change(id, changes, expected_version)
        values = await self._to_store(key, values)
        query = crud.update(self.model, tuple(values), tuple(key))
        record = await self._core.db.fetchrow(query, **crud.encode(self.model, values), **key)
        if record is None:
            raise await self._not_updated(id, expected_version)
        return self._row(record)

    async def _to_store(self, key: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """The values of the row with this key as they are stored; some tables encrypt some."""
        return values

    def _change(
        self, id: object, changes: Mapping[str, Any], expected_version: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What to set, and what finds the row that is to be changed."""
        values = validate(self.changes, dict(changes))
        if not values:
            raise InvalidInputError("nothing to change was given", field="changes")
        key = self._key(id, None)
        if expected_version is not None:
            key["version"] = bounded(
                expected_version, "expected_version", at_least=1, at_most=2**31 - 1
            )
        return values, key

    async def _not_updated(self, id: object, expected: object) -> Exception:
        row = await self._find(id, None)
        if row is None or expected is None:
            return self._missing(id)
        return StaleVersionError(
            f"{self.noun} has version {row.version}, not {expected}",  # type: ignore[attr-defined]
            id=str(id),
            version=row.version,  # type: ignore[attr-defined]
            expected_version=expected,
        )

    async def _count(self, filters: Mapping[str, Any], *, include_deleted: bool = False) -> int:
        equal, null = self._conditions(filters)
        query = crud.select(self.model, tuple(equal), null, hidden=include_deleted, what="count(*)")
        count: int = await self._core.db.fetchval(query, **equal)
        return count

    async def _exists(self, filters: Mapping[str, Any], *, include_deleted: bool = False) -> bool:
        equal, null = self._conditions(filters)
        query = crud.select(
            self.model, tuple(equal), null, hidden=include_deleted, what="1", tail=" LIMIT 1"
        )
        return await self._core.db.fetchval(query, **equal) is not None

    def _new_row(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(fields)
        if crud.is_owned(self.model):
            given["user_id"] = self._require_owner(given.get("user_id"))
        values = validate(self.new, given)
        return {"id": uuid7() if id is None else parse_id(id), **values}

    def _conditions(self, filters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        given = validate(self.filters, dict(filters))
        if crud.is_owned(self.model):
            owner = self._owner(given.pop("user_id", None))
            given = given if owner is None else {"user_id": owner, **given}
        elif self._scope is not None:
            given = {"id": self._scope, **given}
        null = tuple(name for name, value in given.items() if value is None)
        return {n: v for n, v in given.items() if v is not None}, null

    def _key(self, id: object, user_id: object) -> dict[str, Any]:
        """What finds one row: its id, and its owner when known."""
        owner = self._owner(user_id)
        key = {"id": parse_id(id)}
        return key if owner is None else {"user_id": owner, **key}

    def _row(self, record: Sequence[Any]) -> M:
        return cast(M, hydrate(self.model, record, self._core.client))

    def _missing(self, id: object) -> NotFoundError:
        return NotFoundError(f"{self.noun} not found", field="id", id=str(id))


class SoftDeleteRepository(EntityRepository[M]):
    """An entity whose deletion hides the row and can be taken back."""

    @operation
    async def get(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M:
        """The row with this id; a deleted one only with ``include_deleted``.

        Raises:
            NotFoundError: there is none for this caller.
            InvalidInputError: ``id`` is not a UUID.
        """
        return await self._get(id, user_id, include_deleted=include_deleted)

    @operation
    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> M | None:
        """The row with this id, or None; a deleted one only with ``include_deleted``."""
        return await self._find(id, user_id, include_deleted=include_deleted)

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Hide the row until ``restore``, or until the deletion is final; atomic.

        Args:
            reason: why, as the deletion's event says it; at most 500 characters.

        Raises:
            NotFoundError: there is none, or it is deleted already.
            InvalidInputError: ``reason`` does not fit.
        """
        await self._hide(id, reason)

    @operation
    async def restore(self, id: UUID | str) -> M:
        """Take the deletion back; atomic.

        Raises:
            NotFoundError: there is none, it is not deleted, or its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        return await self._show(id)

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete the row for good, alive or deleted; nothing brings it back.

        Raises:
            NotFoundError: there is none.
        """
        key = self._key(id, None)
        async with self._core.transaction():
            if crud.is_owned(self.model):
                await self._core.db.fetchval(crud.hold_owner(self.model, tuple(key)), **key)
                await self._core.db.execute(crud.finish_deletion(self.model), id=key["id"])
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            gone = await self._core.db.fetchval(crud.remove(self.model, tuple(key)), **key)
            await self._core.db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")
            if gone is None:
                raise self._missing(id)

    async def _hide(self, id: object, reason: object) -> M:
        key, event = self._key(id, None), deletion_event(reason)
        query = crud.hide(self.model, tuple(key))
        about = parameters(deletion_id=str(event["deletion_id"]))
        record = await self._core.db.fetchrow(query, **event, **key, **about)
        if record is None:
            raise self._missing(id)
        return self._row(record)

    async def _show(self, id: object) -> M:
        key = self._key(id, None)
        record = await self._core.db.fetchrow(crud.show(self.model, tuple(key)), **key)
        if record is not None:
            return self._row(record)
        row = await self._find(id, None, include_deleted=True)
        if row is None or row.deleted_at is None:  # type: ignore[attr-defined]
            raise self._missing(id)
        raise InvalidStateError(f"{self.noun} belongs to a deleted user", id=str(id))


def deletion_event(reason: object) -> dict[str, Any]:
    """A new deletion's ``deletion_id``, ``reason`` and ``actor_id``.

    Raises:
        InvalidInputError: the reason does not fit.
    """
    why = None if reason is None else validate(_REASON, reason, "reason")
    return {"deletion_id": uuid7(), "reason": why, "actor_id": actor.current().actor_id}


def listed(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a ``create_many``, copied.

    Raises:
        InvalidInputError: they are too many, or one is no dict of fields.
    """
    given = list(rows) if isinstance(rows, Iterable) else [rows]
    bounded(len(given), "rows", at_least=0, at_most=MAX_ROWS)
    for n, row in enumerate(given):
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"rows[{n}] must be a dict of fields", field="rows")
    return [dict(row) for row in given]


def no_owner(user_id: UUID) -> NotFoundError:
    """The person a row would belong to is missing or deleted."""
    return NotFoundError("user not found", field="user_id", user_id=str(user_id))
