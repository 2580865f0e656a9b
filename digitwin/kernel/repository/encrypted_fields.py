"""Fields that stand in the database encrypted: repositories show them, models alone do not.

A model names them in ``sensitive``. What a repository opened is remembered, so that a ``save()``
of the instance leaves it as it stands in the database, and refuses what was changed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Protocol, cast
from uuid import UUID

from digitwin.kernel.execution.core import Core
from digitwin.kernel.repository.entities import M, SoftDeleteRepository, no_owner
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import FieldCipher, Sensitive
from digitwin.kernel.sql import crud

OPENED = "_opened"
"""In an instance's ``__dict__``: its sensitive fields as a repository showed them."""

BATCH = 500
"""Rows of a stream that are opened together: as many as its cursor fetches."""


class SensitiveModel(Protocol):
    """A model some of whose text fields are encrypted."""

    sensitive: ClassVar[tuple[str, ...]]


class SensitiveRepository(SoftDeleteRepository[M]):
    """Encrypts what it writes and decrypts what it reads.

    Raises, where a row holds encrypted values (all methods that give models back):
        KeyUnavailableError: the person's key was destroyed, or cannot be had.
        InvalidStateError: a value was changed in the database, moved there, or is not encrypted.
    """

    def __init__(self, core: Core, cipher: FieldCipher, *, scope: UUID | None = None) -> None:
        super().__init__(core, scope=scope)
        self._cipher = cipher

    async def _find(
        self, id: object, user_id: object, *, include_deleted: bool = False
    ) -> M | None:
        row = await super()._find(id, user_id, include_deleted=include_deleted)
        return None if row is None else await self._open(row)

    async def _create(self, id: object, fields: Mapping[str, Any]) -> M:
        return await self._open(await super()._create(id, fields))

    async def _create_many(self, rows: Iterable[Mapping[str, Any]]) -> list[M]:
        return await self._open_all(await super()._create_many(rows))

    async def _list(self, *args: Any, **kwargs: Any) -> Page[M]:
        page = await super()._list(*args, **kwargs)
        await self._open_all(page.items)
        return page

    async def _stream(
        self, filters: Mapping[str, Any], *, include_deleted: bool = False
    ) -> AsyncGenerator[M, None]:
        batch: list[M] = []
        async with aclosing(super()._stream(filters, include_deleted=include_deleted)) as rows:
            async for row in rows:
                batch.append(row)
                if len(batch) == BATCH:
                    for opened in await self._open_all(batch):
                        yield opened
                    batch = []
        for opened in await self._open_all(batch):
            yield opened

    async def _update(self, id: object, changes: Mapping[str, Any], expected_version: object) -> M:
        # in a transaction, so that nothing is changed where the answer cannot be opened
        async with self._core.transaction():
            return await self._open(await super()._update(id, changes, expected_version))

    async def _show(self, id: object) -> M:
        async with self._core.transaction():
            return await self._open(await super()._show(id))

    async def _to_store(self, key: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        given = {name: values[name] for name in self._sensitive() if values.get(name) is not None}
        if not given:
            return values
        owner = key.get("user_id") or await self._owner_of(key["id"])
        if not await self._cipher.has_key(owner):
            await self._require_living(owner)
        return values | await self._cipher.encrypt(self._place(owner, key["id"]), given)

    async def _open(self, row: M) -> M:
        values = row.__dict__
        stored = {name: values[name] for name in self._sensitive() if values[name] is not None}
        if stored:
            place = self._place(values["user_id"], values["id"])
            plain = await self._cipher.decrypt(place, stored)
            values.update(plain)
            values[OPENED] = plain
        return row

    async def _open_all(self, rows: list[M]) -> list[M]:
        names = self._sensitive()
        await self._cipher.prefetch(
            row.__dict__["user_id"]
            for row in rows
            if any(row.__dict__[name] is not None for name in names)
        )
        for row in rows:
            await self._open(row)
        return rows

    async def _require_living(self, owner: UUID) -> None:
        """No key for who is not there: one made after an erasure would stay behind."""
        sql = "SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL"
        if await self._core.db.fetchval(sql, owner) is None:
            raise no_owner(owner)

    async def _owner_of(self, id: UUID) -> UUID:
        """Whose row it is, where the caller did not say; that never changes."""
        query = crud.select(self.model, ("id",), what='"user_id"')
        owner: UUID | None = await self._core.db.fetchval(query, id=id)
        if owner is None:
            raise self._missing(id)
        return owner

    def _place(self, owner: UUID, id: UUID) -> Sensitive:
        return Sensitive(self.model._meta.db_table, owner, id)

    def _sensitive(self) -> tuple[str, ...]:
        return cast("type[SensitiveModel]", self.model).sensitive
