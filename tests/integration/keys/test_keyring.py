"""A person's key: one for all processes, gone for all once it is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, KeyUnavailableError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.keys import keyring as ring_module
from digitwin.keys.keyring import KeyRing
from digitwin.keys.ports import KeyStore, StoredKey
from tests.integration.keys.conftest import NEW, OLD, another, every, place

VALUES = {"artifact_uri": "s3://voices/ada", "checksum": "sha256:1"}


async def test_what_is_sealed_opens_again_also_elsewhere(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    row = place()
    encrypted = await ring.encrypt(row, VALUES)
    assert not {*encrypted.values()} & {*VALUES.values()}
    assert await ring.decrypt(row, encrypted) == VALUES
    assert await another(digitwin_db, store).decrypt(row, encrypted) == VALUES


async def test_the_same_value_is_never_sealed_alike(ring: KeyRing) -> None:
    row = place()
    assert await ring.encrypt(row, VALUES) != await ring.encrypt(row, VALUES)


@pytest.mark.parametrize("has_key", [True, False])
async def test_plain_text_is_refused(ring: KeyRing, has_key: bool) -> None:
    row = place()
    encrypted = await ring.encrypt(row, VALUES) if has_key else {}
    with pytest.raises(InvalidStateError) as error:
        await ring.decrypt(row, encrypted | {"checksum": VALUES["checksum"]})
    assert error.value.details["field"] == "checksum"


@pytest.mark.parametrize("moved", ["table", "user_id", "row_id", "column"])
async def test_a_value_opens_in_its_own_place_alone(ring: KeyRing, moved: str) -> None:
    row = place()
    encrypted = (await ring.encrypt(row, VALUES))["artifact_uri"]
    other = place()
    await ring.encrypt(other, VALUES)
    column = "checksum" if moved == "column" else "artifact_uri"
    if moved != "column":
        row = row._replace(**{moved: "face_models" if moved == "table" else getattr(other, moved)})
    with pytest.raises(InvalidStateError) as error:
        await ring.decrypt(row, {column: encrypted})
    assert error.value.details["field"] == column


async def test_of_many_who_make_a_first_key_one_is_left(
    digitwin_db: Database, store: KeyStore
) -> None:
    row, rings = place(), [another(digitwin_db, store) for _ in range(8)]
    encrypted = await asyncio.gather(*(ring.encrypt(row, VALUES) for ring in rings))
    assert len(await every(store)) == 1
    for ring in rings:
        for values in encrypted:
            assert await ring.decrypt(row, values) == VALUES


async def test_a_destroyed_key_opens_nothing_any_more(ring: KeyRing, store: KeyStore) -> None:
    row, other = place(), place()
    encrypted, others = await ring.encrypt(row, VALUES), await ring.encrypt(other, VALUES)
    assert await ring.destroy(str(row.user_id))
    assert not await ring.destroy(row.user_id)
    with pytest.raises(KeyUnavailableError) as error:
        await ring.decrypt(row, encrypted)
    assert error.value.details["user_id"] == str(row.user_id)
    assert await ring.decrypt(other, others) == VALUES
    assert [key.user_id for key in await every(store)] == [other.user_id]


async def test_a_key_made_after_a_destruction_does_not_open_what_was_before(ring: KeyRing) -> None:
    row = place()
    encrypted = await ring.encrypt(row, VALUES)
    await ring.destroy(row.user_id)
    again = await ring.encrypt(row, VALUES)
    assert await ring.decrypt(row, again) == VALUES
    with pytest.raises(InvalidStateError):
        await ring.decrypt(row, encrypted)


async def test_elsewhere_a_destroyed_key_is_forgotten_within_its_time(
    digitwin_db: Database, ring: KeyRing, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, elsewhere = place(), another(digitwin_db, store)
    encrypted = await elsewhere.encrypt(row, VALUES)
    await ring.destroy(row.user_id)
    assert await elsewhere.decrypt(row, encrypted) == VALUES
    later = ring_module.time.monotonic() + ring_module.CACHE_SECONDS
    monkeypatch.setattr(ring_module.time, "monotonic", lambda: later)
    with pytest.raises(KeyUnavailableError):
        await elsewhere.decrypt(row, encrypted)


class Slow:
    """A store whose answers can be held back."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.read, self.go_on = asyncio.Event(), asyncio.Event()

    async def get(self, user_ids: Sequence[UUID]) -> Mapping[UUID, StoredKey]:
        found = await self._store.get(user_ids)
        self.read.set()
        await self.go_on.wait()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


async def test_a_key_read_before_its_destruction_is_not_used_after_it(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    row = place()
    encrypted = await ring.encrypt(row, VALUES)
    slow = Slow(store)
    reader = another(digitwin_db, slow)  # type: ignore[arg-type]
    reading = asyncio.create_task(reader.decrypt(row, encrypted))
    await slow.read.wait()
    await reader.destroy(row.user_id)
    slow.go_on.set()
    with pytest.raises(KeyUnavailableError):
        await reading


async def test_a_destruction_stands_although_the_transaction_around_it_does_not(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    row = place()
    await ring.encrypt(row, VALUES)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await ring.destroy(row.user_id)
            raise ZeroDivisionError
    assert not await every(store)


async def test_a_key_made_in_a_transaction_that_fails_is_kept(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    """Another process may have encrypted with it meanwhile."""
    row = place()
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            encrypted = await ring.encrypt(row, VALUES)
            raise ZeroDivisionError
    assert await another(digitwin_db, store).decrypt(row, encrypted) == VALUES


async def test_an_id_that_is_none_is_refused(ring: KeyRing) -> None:
    with pytest.raises(InvalidInputError) as error:
        await ring.destroy("ada")
    assert error.value.details["field"] == "user_id"


async def test_another_master_key_opens_nothing_and_is_named(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    row = place()
    encrypted = await ring.encrypt(row, VALUES)
    with pytest.raises(KeyUnavailableError) as error:
        await another(digitwin_db, store, NEW).decrypt(row, encrypted)
    assert error.value.details["key_id"] == (await every(store))[0].key_id
    assert await another(digitwin_db, store, NEW, OLD).decrypt(row, encrypted) == VALUES


async def test_a_wrapped_key_given_to_another_person_is_refused(
    digitwin_db: Database, ring: KeyRing, store: KeyStore
) -> None:
    row = place()
    await ring.encrypt(row, VALUES)
    [kept] = await every(store)
    thief = StoredKey(uuid7(), kept.key_id, kept.wrapped)
    await store.put_if_absent(thief)
    with pytest.raises(KeyUnavailableError):
        await another(digitwin_db, store).encrypt(place(thief.user_id), VALUES)


class Broken:
    """A key service that is out of reach."""

    key_id = "kms:1"

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        raise TimeoutError("secret words of a client")

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        raise AssertionError


async def test_what_a_key_service_raises_becomes_an_error_of_ours(
    digitwin_db: Database, store: KeyStore
) -> None:
    with pytest.raises(KeyUnavailableError, match="TimeoutError") as error:
        await KeyRing(digitwin_db._core, Broken(), store).encrypt(place(), VALUES)
    assert "secret words" not in error.value.message


async def test_the_keys_of_people_removed_for_good_go_with_the_next_maintenance(
    digitwin_db: Database,
) -> None:
    ada, bob, cleo = [
        await digitwin_db.users.create(email=f"{name}@example.com", name=name)
        for name in ("ada", "bob", "cleo")
    ]
    for user in (ada, bob, cleo):
        await digitwin_db.voices.create(user_id=user.id, name="Warm", artifact_uri="s3://voice")
    await digitwin_db.users.hard_delete(ada.id)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.users.hard_delete(bob.id)
            raise ZeroDivisionError
    await digitwin_db.users.delete(cleo.id)
    assert (await digitwin_db.maintain()).keys_destroyed == 1
    kept = [await digitwin_db.keys.has_key(user.id) for user in (ada, bob, cleo)]
    assert kept == [False, True, True]
    assert (await digitwin_db.maintain()).keys_destroyed == 0
