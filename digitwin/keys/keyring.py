"""The data key of each person: created at first use, cached briefly, destroyed for good.

This is envelope encryption: a data key encrypts one person's values, and a master key, which
:class:`~digitwin.KeyService` holds, wraps the data keys. Destroying a data key makes everything
it encrypted unreadable, copies and backups included (cryptographic erasure, NIST SP 800-88).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from digitwin.errors import (
    DigiTwinError,
    InvalidStateError,
    KeyUnavailableError,
)
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm.encrypted_text import is_encrypted
from digitwin.kernel.primitives.ids import NOBODY, parse_id
from digitwin.kernel.primitives.validation import bounded
from digitwin.kernel.repository.ports import EncryptedRow
from digitwin.kernel.sql.queries import Queries
from digitwin.keys import encryption, rotation
from digitwin.keys.ports import KeyService, KeyStore, StoredKey
from digitwin.keys.rotation import RotationReport

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CACHE_SECONDS: Final = 60.0
"""How long a key is cached: after it is destroyed in one process, others use it at most as long."""
CACHE_SIZE: Final = 10_000
BATCH: Final = 500
MAX_BATCH: Final = 10_000
QUERIES = Queries(__package__)


class KeyRing:
    """The keys of all people, as ``db.keys``.

    The key service and the key store are arguments of ``connect``, else the settings choose them.
    """

    def __init__(
        self,
        core: Core,
        service: KeyService,
        store: KeyStore,
        record: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        self._core = core
        self._service = service
        self._store = store
        self._record = record
        self._cache: OrderedDict[UUID, tuple[float, AESGCM]] = OrderedDict()
        self._destroyed = 0
        """Counts destructions, so that a key read before one is not used after it."""

    @operation
    async def destroy(self, user_id: UUID | str) -> bool:
        """Destroy a person's key, and with it everything it encrypted.

        Takes effect at once, even inside a transaction that is rolled back. This process stops
        using the key when the call returns, other processes at most a minute later.

        Returns:
            False if there was no key.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
            KeyUnavailableError: the key store failed; the key may still exist.
            ConfigurationError: this login may not destroy keys; a service's may not.
        """
        owner = parse_id(user_id, "user_id")
        try:
            return await self._store.destroy(owner)
        finally:
            # after a failure too: the store may have destroyed it, and only the answer is lost
            self._destroyed += 1
            self._cache.pop(owner, None)

    @operation
    async def rotate(self, *, batch: int = BATCH) -> RotationReport:
        """Wrap every key with the current master key; no row of data is changed.

        Keys stay usable meanwhile. Safe to interrupt and repeat, and to run concurrently.
        Afterwards the earlier master keys can be removed from the settings. The audit trail
        has a record of the rotation.

        Args:
            batch: keys read at once, 1 to 10,000.

        Raises:
            InvalidInputError: ``batch`` is out of range.
            KeyUnavailableError: a key cannot be unwrapped, because its master key is not
                configured or it was changed. The others were rewrapped; ``unreadable``,
                ``rewrapped`` and ``current`` in the details are their numbers.
            ConfigurationError: this login may not replace keys; a service's may not.
        """
        size = bounded(batch, "batch", at_least=1, at_most=MAX_BATCH)
        report, failures = await rotation.rewrap_all(
            self._store, self._service.key_id, self._rewrap, size
        )
        if self._record is not None and report.rewrapped:
            metadata = {"rewrapped": report.rewrapped, "key_id": self._service.key_id}
            await self._record("key.rotate", "key", metadata=metadata)
        if failures:
            raise rotation.not_rewrapped(failures, report)
        return report

    @operation
    async def forget_removed(self) -> int:
        """Destroy the keys of people who were hard-deleted.

        A hard deletion can be rolled back, the destruction of a key cannot: so maintenance
        destroys it once the audit trail has the deletion.

        Returns:
            The number of keys destroyed.

        Raises:
            KeyUnavailableError: the key store failed.
        """
        destroyed, after = 0, NOBODY
        while rows := await self._core.aside.fetch(QUERIES["removed"], after=after, limit=BATCH):
            people = [row["user_id"] for row in rows]
            for person in await self._store.get(people):
                destroyed += await self.destroy(person)
            after = people[-1]
        return destroyed

    async def encrypt(self, row: EncryptedRow, values: Mapping[str, str]) -> dict[str, str]:
        """Encrypt values of a row; create the person's key if there is none.

        Raises:
            KeyUnavailableError: the key store or the key service failed.
            ConfigurationError: no master key is configured.
        """
        key, aad = await self._key(row.user_id), encryption.row_aad(row.user_id, row.row_id)
        return {
            column: encryption.encrypt_text(
                key, value, encryption.column_aad(row.table, column) + aad
            )
            for column, value in values.items()
        }

    async def decrypt(self, row: EncryptedRow, values: Mapping[str, str]) -> dict[str, str]:
        """Decrypt values of a row; plain text in an encrypted column is refused.

        Raises:
            KeyUnavailableError: the person's key was destroyed, or cannot be read.
            InvalidStateError: a value is not encrypted, was changed in the database, or moved
                there from another row or person, or its key was destroyed and another created.
        """
        for column, value in values.items():
            if not is_encrypted(value):  # whether there is a key or not
                raise _not_decryptable(row, column)
        key = self._cached(row.user_id) or (await self._load([row.user_id]))[row.user_id]
        aad = encryption.row_aad(row.user_id, row.row_id)
        return {
            column: _decrypted(key, row, column, value, aad) for column, value in values.items()
        }

    async def prefetch(self, user_ids: Iterable[UUID]) -> None:
        """Load people's keys in one round trip, before many rows of theirs are decrypted.

        A key that cannot be read is left out, so that the others can: ``decrypt`` says why.
        """
        missing = {user_id for user_id in user_ids if self._cached(user_id) is None}
        if len(missing) > 1:
            with suppress(KeyUnavailableError):  # of a store that cannot read one of them
                await self._load(list(missing), require_all=False, skip_unreadable=True)

    async def has_key(self, user_id: UUID) -> bool:
        """Return whether this person has a key.

        Raises:
            KeyUnavailableError: there is one, and it cannot be read.
        """
        if self._cached(user_id) is not None:
            return True
        return bool(await self._load([user_id], require_all=False))

    async def _key(self, user_id: UUID) -> AESGCM:
        """Return the person's key; create it if there is none."""
        cached = self._cached(user_id)
        if cached is not None:
            return cached
        loaded = await self._load([user_id], require_all=False)
        return loaded[user_id] if user_id in loaded else await self._create(user_id)

    async def _create(self, user_id: UUID) -> AESGCM:
        """Create a key; if another process does so at the same time, both use the stored one."""
        plain, began = encryption.new_key(), self._destroyed
        wrapped = await self._call_service(user_id, self._service.wrap, plain)
        created = StoredKey(user_id, self._service.key_id, wrapped)
        stored = await self._store.put_if_absent(created)
        key = encryption.opened(plain if stored == created else await self._unwrap(stored))
        if began != self._destroyed:
            return await self._key(user_id)
        self._remember(user_id, key)
        return key

    async def _load(
        self, user_ids: list[UUID], *, require_all: bool = True, skip_unreadable: bool = False
    ) -> dict[UUID, AESGCM]:
        """Load keys from the store; again if a key was destroyed meanwhile."""
        while True:
            began = self._destroyed
            keys: dict[UUID, AESGCM] = {}
            for user_id, key in (await self._store.get(user_ids)).items():
                try:
                    keys[user_id] = encryption.opened(await self._unwrap(key))
                except KeyUnavailableError:
                    if not skip_unreadable:
                        raise
            if began == self._destroyed:
                break
        for user_id, opened in keys.items():
            self._remember(user_id, opened)
        for user_id in user_ids if require_all else ():
            if user_id not in keys:
                raise KeyUnavailableError(
                    "This person's key was destroyed, or is missing from the key store: their"
                    " encrypted values cannot be read",
                    user_id=str(user_id),
                )
        return keys

    async def _rewrap(self, key: StoredKey) -> bool:
        plain = await self._unwrap(key)
        wrapped = await self._call_service(key.user_id, self._service.wrap, plain)
        return await self._store.replace(key, StoredKey(key.user_id, self._service.key_id, wrapped))

    async def _unwrap(self, key: StoredKey) -> bytes:
        plain = await self._call_service(key.user_id, self._service.unwrap, key.wrapped)
        if len(plain) != encryption.KEY_BYTES:
            raise KeyUnavailableError(
                "The key service returned something that is not a key", user_id=str(key.user_id)
            )
        return plain

    async def _call_service(self, user_id: UUID, method: Any, data: bytes) -> bytes:
        """Call the key service, whose exceptions are its own, and translate them."""
        try:
            answer: bytes = await method(data, {"user_id": str(user_id)})
        except DigiTwinError:
            raise
        except Exception as error:
            raise KeyUnavailableError(
                f"The key service failed: {type(error).__name__}", user_id=str(user_id)
            ) from error
        return answer

    def _cached(self, user_id: UUID) -> AESGCM | None:
        entry = self._cache.get(user_id)
        if entry is None or entry[0] <= time.monotonic():
            return None
        return entry[1]

    def _remember(self, user_id: UUID, key: AESGCM) -> None:
        self._cache[user_id] = (time.monotonic() + CACHE_SECONDS, key)
        self._cache.move_to_end(user_id)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)


def _decrypted(key: AESGCM, row: EncryptedRow, column: str, value: str, aad: bytes) -> str:
    try:
        return encryption.decrypt_text(key, value, encryption.column_aad(row.table, column) + aad)
    except encryption.DecryptionError:
        raise _not_decryptable(row, column) from None


def _not_decryptable(row: EncryptedRow, column: str) -> InvalidStateError:
    return InvalidStateError(
        f"{column} cannot be decrypted: it was changed outside digitwin or moved here from another"
        " row, or its key was destroyed",
        field=column,
        id=str(row.row_id),
    )
