"""Create, read, update and count the rows of one table: the base of entity repositories.

Repositories add public methods with typed keywords, which call the protected ones here: a
``TypedDict`` in ``Unpack`` cannot be a type parameter, so the signatures cannot be inherited.
Input is validated before a statement is sent, a statement is one round trip, and every
statement filters by the owner if the caller or the scope names one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from pydantic import TypeAdapter

from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.hydration import hydrate, hydrator
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.iterables import fields_of, listed
from digitwin.kernel.primitives.validation import bounded, validate
from digitwin.kernel.repository.base import Repository, owner_not_found, the_only
from digitwin.kernel.repository.paging import Page, decode_cursor, page_of
from digitwin.kernel.repository.patching import take_patch, too_large
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.audit_step import parameters
from digitwin.kernel.sql.queries import Query

M = TypeVar("M", bound=Model)

MAX_ROWS = 10_000
"""Rows of one ``create_many``, so that the statement and its locks stay short."""


_IS_ALIVE = "SELECT true FROM users WHERE id = $1 AND deleted_at IS NULL"


class EntityRepository(Repository, Generic[M]):
    """The rows of one table.

    Subclasses name the model, the noun for errors, and the validators of new rows, of changes
    and of filters.
    """

    runs_again: ClassVar[bool] = True
    """Its operations do nothing but SQL, in one transaction at most: see ``operation``."""
    model: ClassVar[type[Model]]
    noun: ClassVar[str]
    new: ClassVar[TypeAdapter[Any]]
    changes: ClassVar[TypeAdapter[Any]]
    filters: ClassVar[TypeAdapter[Any]]

    @operation
    async def get(self, id: UUID | str, *, user_id: UUID | str | None = None) -> M:
        """Return the row with this id.

        Args:
            user_id: the row's owner, if known; without it the row is looked up by id alone.

        Raises:
            NotFoundError: there is none, or it belongs to another person.
            InvalidStateError: on a distributed schema, rows of two people have this id.
            InvalidInputError: an id is not a UUID.
        """
        return await self._get(id, user_id)

    @operation
    async def find(self, id: UUID | str, *, user_id: UUID | str | None = None) -> M | None:
        """Return the row with this id, or None; arguments and errors as :meth:`get`."""
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
        record = the_only(await self._core.db.fetch(query, **key), self.noun, key["id"])
        return None if record is None else self._row(record)

    async def _create(self, id: object, fields: Mapping[str, Any]) -> M:
        given = self._new_row(id, fields)
        row = await self._to_store(given, given)
        query = crud.insert(self.model, tuple(row), may_exist=id is not None)
        record = await self._core.db.fetchrow(query, **crud.encode(self.model, row))
        if record is None:
            if id is None or not await self._core.db.fetchval(_IS_ALIVE, row["user_id"]):
                raise owner_not_found(row["user_id"])
            raise taken("id", row["id"])
        return self._row(record)

    async def _create_many(self, rows: Iterable[Mapping[str, Any]]) -> list[M]:
        given = [self._new_row(row.pop("id", None), row) for row in row_dicts(rows)]
        refuse_repeated_ids(given)
        given = [await self._to_store(row, row) for row in given]
        shapes: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in given:
            shapes.setdefault(tuple(row), []).append(row)
        made: dict[UUID, M] = {}
        try:
            async with self._core.transaction():
                for names, group in shapes.items():
                    made.update(await self._insert_many(names, group))
        except AlreadyExistsError as error:
            existing = await self._one_taken([row["id"] for row in given])
            raise taken(error.details["field"], existing) from error
        return [made[row["id"]] for row in given]

    async def _one_taken(self, ids: list[UUID]) -> UUID | None:
        """Return an id that is taken; None where only one's own rows could be named."""
        if len(ids) == 1:
            return ids[0]
        if self._scope is not None:
            return None
        found: UUID | None = await self._core.db.fetchval(_one_of(self.model), ids)
        return found

    async def _insert_many(
        self, names: tuple[str, ...], rows: list[dict[str, Any]]
    ) -> dict[UUID, M]:
        query = crud.insert_many(self.model, names)
        encoded = [crud.encode(self.model, row) for row in rows]
        columns = {name: [row[name] for row in encoded] for name in names}
        records = await self._core.db.fetch(query, **columns, **parameters(len(rows)))
        if len(records) < len(rows):
            living = {record["user_id"] for record in records}
            raise owner_not_found(next(r["user_id"] for r in rows if r["user_id"] not in living))
        return {record["id"]: self._row(record) for record in records}

    async def _list(
        self,
        filters: Mapping[str, Any],
        *,
        limit: object,
        after: object,
        newest_first: bool = False,
        include_deleted: bool = False,
    ) -> Page[M]:
        query, values, size = self._page(
            filters,
            limit=limit,
            after=after,
            newest_first=newest_first,
            include_deleted=include_deleted,
        )
        records = await self._core.db.fetch(query, **values)
        fill, origin = hydrator(self.model), self._core.origin
        rows = [cast(M, fill(record, origin)) for record in records]
        return page_of(rows, size, lambda row: cast(UUID, row.pk))

    def _page(
        self,
        filters: Mapping[str, Any],
        *,
        limit: object,
        after: object,
        newest_first: bool = False,
        include_deleted: bool = False,
    ) -> tuple[Query, dict[str, Any], int]:
        """Return the query for a page, its parameters, and the size of the page.

        It returns one row more, which shows whether there is a next page. A cursor is a row's id:
        in the other direction it goes on from that row as well.
        """
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        direction = " DESC" if newest_first else ""
        beyond = None if after is None else "<" if newest_first else ">"
        tail = f" ORDER BY id{direction} LIMIT {size + 1}"
        query, equal = self._select(filters, include_deleted, beyond=beyond, tail=tail)
        start = None if after is None else decode_cursor(after, "after")
        return query, {**equal, "after": start}, size

    async def _stream(
        self, filters: Mapping[str, Any], *, include_deleted: bool = False
    ) -> AsyncGenerator[M, None]:
        query, equal = self._select(filters, include_deleted, tail=" ORDER BY id")
        async with aclosing(self._core.db.stream(query, **equal)) as records:
            async for record in records:
                yield self._row(record)

    async def _update(self, id: object, changes: Mapping[str, Any], expected_version: object) -> M:
        values, key = self._change(id, changes, expected_version)
        values = await self._to_store(key, values)
        merge = take_patch(values)
        query = crud.update(self.model, tuple(values), tuple(key), merges=bool(merge))
        encoded = crud.encode(self.model, values)
        record = await self._core.db.fetchrow(query, **encoded, **merge, **key)
        if record is None:
            raise await self._not_updated(id, key.get("version"), merge)
        return self._row(record)

    async def _to_store(self, key: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Return the values to store in the row with this key; overridden to encrypt some."""
        return values

    def _change(
        self, id: object, changes: Mapping[str, Any], expected_version: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values to set, and the key of the row with its expected version."""
        values = validate(self.changes, dict(changes))
        if not values:
            raise InvalidInputError("no field to change is given", field="changes")
        key = self._key(id, None)
        if expected_version is not None:
            key["version"] = version_of(expected_version)
        return values, key

    async def _not_updated(
        self, id: object, expected: object, merge: Mapping[str, Any] | None = None
    ) -> Exception:
        row = await self._find(id, None)
        version = None if row is None else row.version  # type: ignore[attr-defined]
        if merge and row is not None and expected in (None, version):
            return too_large(merge)
        if row is None or expected is None:
            return self._missing(id)
        return StaleVersionError(
            f"{self.noun} has version {row.version}, not {expected}",  # type: ignore[attr-defined]
            id=str(id),
            version=row.version,  # type: ignore[attr-defined]
            expected_version=expected,
        )

    async def _count(self, filters: Mapping[str, Any], *, include_deleted: bool = False) -> int:
        query, equal = self._select(filters, include_deleted, what="count(*)")
        count: int = await self._core.db.fetchval(query, **equal)
        return count

    async def _exists(self, filters: Mapping[str, Any], *, include_deleted: bool = False) -> bool:
        query, equal = self._select(filters, include_deleted, what="1", tail=" LIMIT 1")
        return await self._core.db.fetchval(query, **equal) is not None

    def _new_row(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(fields)
        if crud.is_owned(self.model):
            given["user_id"] = self._require_owner(given.get("user_id"))
        values = validate(self.new, given)
        return {"id": uuid7() if id is None else parse_id(id), **values}

    def _select(
        self, filters: Mapping[str, Any], include_deleted: bool, **shape: Any
    ) -> tuple[Query, dict[str, Any]]:
        """Return the query for these filters, and its parameters."""
        equal, null = self._conditions(filters)
        query = crud.select(self.model, tuple(equal), null, hidden=include_deleted, **shape)
        return query, equal

    def _conditions(self, filters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the columns to compare with a value, and those to compare with NULL."""
        given = validate(self.filters, dict(filters))
        if crud.is_owned(self.model):
            owner = self._owner(given.pop("user_id", None))
            given = given if owner is None else {"user_id": owner, **given}
        elif self._scope is not None:
            given = {"id": self._scope, **given}
        null = tuple(name for name, value in given.items() if value is None)
        return {n: v for n, v in given.items() if v is not None}, null

    def _key(self, id: object, user_id: object) -> dict[str, Any]:
        """Return the columns that identify one row: the id, and the owner if known."""
        owner = self._owner(user_id)
        key = {"id": parse_id(id)}
        return key if owner is None else {"user_id": owner, **key}

    def _row(self, record: Sequence[Any]) -> M:
        return cast(M, hydrate(self.model, record, self._core.origin))

    def _missing(self, id: object) -> NotFoundError:
        return NotFoundError(f"{self.noun} not found", field="id", id=str(parse_id(id)))


def _one_of(model: type[Model]) -> str:
    return f'SELECT id FROM "{model._meta.db_table}" WHERE id = ANY($1::uuid[]) LIMIT 1'


def taken(field: str, id: UUID | None) -> AlreadyExistsError:
    """Return the error for a unique value that is taken.

    Args:
        id: the row that has it, unless the caller may not see that row.
    """
    details = {"field": field} if id is None else {"field": field, "id": str(id)}
    return AlreadyExistsError(f"{field} is already taken", **details)


def refuse_repeated_ids(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse rows of a ``create_many`` of which two have one id.

    Raises:
        AlreadyExistsError: names no row, since none has the id yet.
    """
    if len({row["id"] for row in rows}) < len(rows):
        raise AlreadyExistsError("id is given twice", field="id")


def row_dicts(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return copies of the rows of a ``create_many``.

    Raises:
        InvalidInputError: there are too many, or one is not a mapping.
    """
    given = listed(rows, "rows", at_most=MAX_ROWS, of="rows")
    return [fields_of(row, f"rows[{n}]", "rows") for n, row in enumerate(given)]


def version_of(expected: object) -> int:
    """Return a validated version that a caller expects.

    Raises:
        InvalidInputError: it is not a whole number, or out of range.
    """
    return bounded(expected, "expected_version", at_least=1, at_most=2**31 - 1)
