"""A person's data key: made at the first need, kept in memory briefly, destroyed for good."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from digitwin.errors import (
    DigiTwinError,
    InvalidStateError,
    KeyUnavailableError,
)
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.primitives.ids import NOBODY, parse_id
from digitwin.kernel.repository.ports import Sensitive
from digitwin.kernel.sql.queries import load
from digitwin.keys import encryption
from digitwin.keys.ports import KeyService, KeyStore, StoredKey

KEPT_SECONDS: Final = 60.0
"""How long a key is used from memory: the bound within which other processes, too, cannot
read what was sealed with a key that was destroyed here."""
KEPT_KEYS: Final = 10_000
_SQL = load(__package__)
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What one run of ``rotate`` did."""

    rewrapped: int = 0
    """Keys that are now under the present master key."""
    current: int = 0
    """Keys that were so already."""


class KeyRing:
    """The people's keys, as ``db.keys``.

    Which master key, and where the wrapped keys are kept, is said when the handle is opened.
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
        self._kept: OrderedDict[UUID, tuple[float, AESGCM]] = OrderedDict()
        self._destroyed = 0

    @operation
    async def destroy(self, user_id: UUID | str) -> bool:
        """Forget this person's key for good: what was sealed with it, nobody reads again.

        It stands at once, whatever transaction is open. This process cannot use the key any
        more once the call returns, others at most a minute longer. False where there was none.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
            KeyUnavailableError: the store does not answer; nothing is known to be destroyed.
        """
        owner = parse_id(user_id, "user_id")
        try:
            return await self._store.destroy(owner)
        finally:
            # also after a failure: the store may have done it, and its answer been lost
            self._destroyed += 1
            self._kept.pop(owner, None)

    @operation
    async def rotate(self, *, batch: int = BATCH) -> RotationReport:
        """Bring every key under the present master key; no row of data is touched.

        Keys stay usable all the while. It may be broken off and begun again, and run in
        several processes at once: a key that is done is passed over. Afterwards the earlier
        master keys can be taken out of the settings. The trail has a record of it.

        Raises:
            KeyUnavailableError: a key is under a master key that is not known here.
        """
        rewrapped = current = 0
        after: UUID | None = None
        while page := await self._store.page(after, batch):
            for key in page:
                if key.key_id == self._service.key_id:
                    current += 1
                elif await self._rewrap(key):
                    rewrapped += 1
            after = page[-1].user_id
        if self._record is not None and rewrapped:
            told = {"rewrapped": rewrapped, "key_id": self._service.key_id}
            await self._record("key.rotate", "key", metadata=told)
        return RotationReport(rewrapped, current)

    @operation
    async def forget_removed(self) -> int:
        """Destroy the keys of people who were removed for good; how many there were.

        A removal may be rolled back, a destruction may not: so the key goes once the trail has
        the removal, with the next upkeep.

        Raises:
            KeyUnavailableError: the store does not answer.
        """
        destroyed, after = 0, NOBODY
        while rows := await self._core.aside.fetch(_SQL["removed"], after, BATCH):
            people = [row["user_id"] for row in rows]
            for person in await self._store.get(people):
                destroyed += await self.destroy(person)
            after = people[-1]
        return destroyed

    async def seal(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """The values as they are stored; makes the person's key where there is none.

        Raises:
            KeyUnavailableError: the key cannot be had.
            ConfigurationError: no master key is configured.
        """
        key, place = await self._key(row.user_id), encryption.row_place(row.user_id, row.row_id)
        return {
            column: encryption.seal(key, value, encryption.column_place(row.table, column) + place)
            for column, value in values.items()
        }

    async def open(self, row: Sensitive, values: Mapping[str, str]) -> dict[str, str]:
        """Sealed values as they were given; plain text in a sealed column is refused.

        Raises:
            KeyUnavailableError: the person has no key any more, or it cannot be had.
            InvalidStateError: a value is not sealed, was changed in the database, or moved
                there from another row or person, or its key was destroyed and another made since.
        """
        for column, value in values.items():
            if not encryption.is_sealed(value):  # whether there is a key or not
                raise _broken(row, column)
        key = self._remembered(row.user_id) or (await self._known([row.user_id]))[row.user_id]
        place = encryption.row_place(row.user_id, row.row_id)
        return {column: _opened(key, row, column, value, place) for column, value in values.items()}

    async def foresee(self, user_ids: Iterable[UUID]) -> None:
        """Fetch these people's keys in one go, before many rows of theirs are opened."""
        unknown = {user_id for user_id in user_ids if self._remembered(user_id) is None}
        if len(unknown) > 1:
            await self._known(list(unknown), all_of_them=False)

    async def has_key(self, user_id: UUID) -> bool:
        """Whether this person has a key already.

        Raises:
            KeyUnavailableError: there is one, and it cannot be had.
        """
        if self._remembered(user_id) is not None:
            return True
        return bool(await self._known([user_id], all_of_them=False))

    async def _key(self, user_id: UUID) -> AESGCM:
        """The person's key, made now if need be; two processes at once end with one."""
        kept = self._remembered(user_id)
        if kept is not None:
            return kept
        known = await self._known([user_id], all_of_them=False)
        return known[user_id] if user_id in known else await self._make(user_id)

    async def _make(self, user_id: UUID) -> AESGCM:
        fresh, began = encryption.new_key(), self._destroyed
        wrapped = await self._ask(user_id, self._service.wrap, fresh)
        mine = StoredKey(user_id, self._service.key_id, wrapped)
        stands = await self._store.put_if_absent(mine)
        key = AESGCM(fresh if stands == mine else await self._unwrap(stands))
        if began != self._destroyed:
            return await self._key(user_id)
        self._remember(user_id, key)
        return key

    async def _known(self, user_ids: list[UUID], *, all_of_them: bool = True) -> dict[UUID, AESGCM]:
        """These people's keys from the store; read again where one was destroyed meanwhile."""
        while True:
            began = self._destroyed
            stored = await self._store.get(user_ids)
            keys = {user_id: AESGCM(await self._unwrap(key)) for user_id, key in stored.items()}
            if began == self._destroyed:
                break
        for user_id, key in keys.items():
            self._remember(user_id, key)
        for user_id in user_ids if all_of_them else ():
            if user_id not in keys:
                raise KeyUnavailableError(
                    "This person's key was destroyed, or is missing from the key store: what was"
                    " sealed with it cannot be read",
                    user_id=str(user_id),
                )
        return keys

    async def _rewrap(self, key: StoredKey) -> bool:
        plain = await self._unwrap(key)
        wrapped = await self._ask(key.user_id, self._service.wrap, plain)
        return await self._store.replace(key, StoredKey(key.user_id, self._service.key_id, wrapped))

    async def _unwrap(self, key: StoredKey) -> bytes:
        plain = await self._ask(key.user_id, self._service.unwrap, key.wrapped)
        if len(plain) != encryption.KEY_BYTES:
            raise KeyUnavailableError("The key service gave no key", user_id=str(key.user_id))
        return plain

    async def _ask(self, user_id: UUID, method: Any, data: bytes) -> bytes:
        """Ask the key service; what it raises is its own, and becomes one of ours."""
        try:
            answer: bytes = await method(data, {"user_id": str(user_id)})
        except DigiTwinError:
            raise
        except Exception as error:
            raise KeyUnavailableError(
                f"The key service failed: {type(error).__name__}", user_id=str(user_id)
            ) from error
        return answer

    def _remembered(self, user_id: UUID) -> AESGCM | None:
        kept = self._kept.get(user_id)
        if kept is None or kept[0] <= time.monotonic():
            return None
        return kept[1]

    def _remember(self, user_id: UUID, key: AESGCM) -> None:
        self._kept[user_id] = (time.monotonic() + KEPT_SECONDS, key)
        self._kept.move_to_end(user_id)
        while len(self._kept) > KEPT_KEYS:
            self._kept.popitem(last=False)


def _opened(key: AESGCM, row: Sensitive, column: str, sealed: str, place: bytes) -> str:
    try:
        return encryption.unseal(key, sealed, encryption.column_place(row.table, column) + place)
    except encryption.BrokenSeal:
        raise _broken(row, column) from None


def _broken(row: Sensitive, column: str) -> InvalidStateError:
    return InvalidStateError(
        f"{column} does not open: it was changed outside digitwin or moved here from another"
        " row, or its key was destroyed",
        field=column,
        id=str(row.row_id),
    )
