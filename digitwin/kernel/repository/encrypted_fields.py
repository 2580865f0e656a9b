"""Fields that are encrypted in the database: repositories decrypt them, models alone do not.

A model lists them in ``encrypted``. An instance remembers what a repository decrypted, so that
its ``save()`` leaves the stored value alone and refuses a changed one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID

from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.orm.encrypted_fields import mark_unreadable
from digitwin.kernel.repository.base import owner_not_found, the_only
from digitwin.kernel.repository.entities import M
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.kernel.sql import crud

DECRYPTED = "_decrypted"
"""Key in an instance's ``__dict__``: its encrypted fields as a repository returned them."""

BATCH = 500
"""Rows of a stream that are decrypted together: as many as its cursor fetches."""


class EncryptedFieldsRepository(SoftDeleteRepository[M]):
    """Encrypts fields when it writes them and decrypts them when it reads.

    In a page or a stream, a row that cannot be decrypted comes with the others: its
    ``unreadable`` names the fields, and reading one raises one of these errors.

    Raises (methods that return one model or create some, if a row has encrypted values):
        KeyUnavailableError: the person's key was destroyed or is unavailable.
        InvalidStateError: a value was changed in the database, copied from another row, or
            is not encrypted.
    """

    def __init__(self, core: Core, cipher: FieldCipher, *, scope: UUID | None = None) -> None:
        super().__init__(core, scope=scope)
        self._cipher = cipher

    async def _find(
        self, id: object, user_id: object, *, include_deleted: bool = False
    ) -> M | None:
        row = await super()._find(id, user_id, include_deleted=include_deleted)
        return None if row is None else await self._decrypt(row)

    async def _create(self, id: object, fields: Mapping[str, Any]) -> M:
        return await self._decrypt(await super()._create(id, fields))

    async def _create_many(self, rows: Iterable[Mapping[str, Any]]) -> list[M]:
        return await self._decrypt_all(await super()._create_many(rows))

    async def _list(self, *args: Any, **kwargs: Any) -> Page[M]:
        page = await super()._list(*args, **kwargs)
        await self._decrypt_each(page.items)
        return page

    async def _stream(
        self, filters: Mapping[str, Any], *, include_deleted: bool = False
    ) -> AsyncGenerator[M, None]:
        batch: list[M] = []
        async with aclosing(super()._stream(filters, include_deleted=include_deleted)) as rows:
            async for row in rows:
                batch.append(row)
                if len(batch) == BATCH:
                    for decrypted in await self._decrypt_each(batch):
                        yield decrypted
                    batch = []
        for decrypted in await self._decrypt_each(batch):
            yield decrypted

    async def _update(self, id: object, changes: Mapping[str, Any], expected_version: object) -> M:
        # In a transaction, so that nothing is changed if the result cannot be decrypted.
        async with self._core.transaction():
            return await self._decrypt(await super()._update(id, changes, expected_version))

    async def _restore(self, id: object) -> M:
        async with self._core.transaction():
            return await self._decrypt(await super()._restore(id))

    async def _to_store(self, key: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        given = {
            name: values[name] for name in self.model.encrypted if values.get(name) is not None
        }
        if not given:
            return values
        owner = key.get("user_id") or await self._owner_of(key["id"])
        if not await self._cipher.has_key(owner):
            await self._require_alive(owner)
        return values | await self._cipher.encrypt(self._row_of(owner, key["id"]), given)

    async def _decrypt(self, row: M) -> M:
        values = row.__dict__
        stored = {name: values[name] for name in self.model.encrypted if values[name] is not None}
        if stored:
            at = self._row_of(values["user_id"], values["id"])
            plain = await self._cipher.decrypt(at, stored)
            values.update(plain)
            values[DECRYPTED] = plain
        return row

    async def _decrypt_all(self, rows: list[M]) -> list[M]:
        await self._prefetch(rows)
        for row in rows:
            await self._decrypt(row)
        return rows

    async def _decrypt_each(self, rows: list[M]) -> list[M]:
        """Decrypt what can be decrypted; a row says which of its fields cannot be read."""
        await self._prefetch(rows)
        without_key: dict[UUID, KeyUnavailableError] = {}
        for row in rows:
            try:
                await self._decrypt(row)
            except (KeyUnavailableError, InvalidStateError):
                await self._decrypt_fields(row, without_key)
        return rows

    async def _decrypt_fields(self, row: M, without_key: dict[UUID, KeyUnavailableError]) -> None:
        """Decrypt a row field by field; ``without_key`` are people whose key is known to fail."""
        values = row.__dict__
        owner: UUID = values["user_id"]
        plain: dict[str, str] = {}
        at = self._row_of(owner, values["id"])
        for name in self.model.encrypted:
            if values[name] is None:
                continue
            try:
                if owner in without_key:
                    raise without_key[owner]
                plain |= await self._cipher.decrypt(at, {name: values[name]})
            except KeyUnavailableError as error:
                without_key[owner] = error
                mark_unreadable(row, name, error)
            except InvalidStateError as error:
                mark_unreadable(row, name, error)
        values |= {**plain, DECRYPTED: plain}

    async def _prefetch(self, rows: list[M]) -> None:
        names = self.model.encrypted
        await self._cipher.prefetch(
            row.__dict__["user_id"]
            for row in rows
            if any(row.__dict__[name] is not None for name in names)
        )

    async def _require_alive(self, owner: UUID) -> None:
        """Refuse to create a key for a person who is erased: nothing would destroy it."""
        sql = "SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL"
        if await self._core.db.fetchval(sql, owner) is None:
            raise owner_not_found(owner)

    async def _owner_of(self, id: UUID) -> UUID:
        """Return the owner of a row if the caller did not name it; an owner never changes."""
        query = crud.select(self.model, ("id",), what='"user_id"')
        row = the_only(await self._core.db.fetch(query, id=id), self.noun, id)
        if row is None:
            raise self._missing(id)
        owner: UUID = row["user_id"]
        return owner

    def _row_of(self, owner: UUID, id: UUID) -> EncryptedRow:
        return EncryptedRow(self.model._meta.db_table, owner, id)
