"""A new master key: the people's keys are wrapped anew, and no row of data is touched."""

from __future__ import annotations

import asyncio

import pytest

from digitwin.database import Database
from digitwin.errors import KeyUnavailableError
from digitwin.keys.ports import KeyStore
from digitwin.keys.rotation import RotationReport
from tests.integration.keys.conftest import NEW, OLD, another, every, place

VALUES = {"artifact_uri": "s3://voices/ada"}


async def test_after_a_rotation_the_old_master_key_is_not_needed(
    digitwin_db: Database, store: KeyStore
) -> None:
    before = another(digitwin_db, store, OLD)
    rows = [place() for _ in range(7)]
    encrypted = [await before.encrypt(row, VALUES) for row in rows]
    between = another(digitwin_db, store, NEW, OLD)
    assert await between.rotate(batch=3) == RotationReport(rewrapped=7, current=0)
    assert await between.rotate(batch=3) == RotationReport(rewrapped=0, current=7)
    after = another(digitwin_db, store, NEW)
    assert [await after.decrypt(*pair) for pair in zip(rows, encrypted, strict=True)] == [
        VALUES
    ] * 7


async def test_a_rotation_goes_on_where_another_was_broken_off(
    digitwin_db: Database, store: KeyStore
) -> None:
    rows = [place() for _ in range(6)]
    for row in rows:
        await another(digitwin_db, store, OLD).encrypt(row, VALUES)
    stray = (await store.page(None, 4))[3]
    await store.destroy(stray.user_id)
    alien = another(digitwin_db, store, b"x" * 32)
    await alien.encrypt(place(stray.user_id), VALUES)
    between = another(digitwin_db, store, NEW, OLD)
    with pytest.raises(KeyUnavailableError):
        await between.rotate()
    await store.destroy(stray.user_id)
    report = await between.rotate()
    assert (report.rewrapped, report.current) == (0, 5)


async def test_keys_are_made_used_and_destroyed_while_it_goes_on(
    digitwin_db: Database, store: KeyStore
) -> None:
    old, between = another(digitwin_db, store, OLD), another(digitwin_db, store, NEW, OLD)
    rows = [place() for _ in range(40)]
    encrypted = [await old.encrypt(row, VALUES) for row in rows]
    kept, gone = rows[:30], rows[30:]

    async def write() -> None:
        for row in kept:
            assert await another(digitwin_db, store, NEW, OLD).decrypt(
                row, await between.encrypt(row, VALUES)
            ) == VALUES  # fmt: skip
            await between.encrypt(place(), VALUES)

    async def destroy() -> None:
        for row in gone:
            await another(digitwin_db, store, OLD).destroy(row.user_id)

    await asyncio.gather(
        between.rotate(batch=5),
        another(digitwin_db, store, NEW, OLD).rotate(batch=7),
        write(),
        destroy(),
    )
    await between.rotate()
    assert {key.key_id for key in await every(store)} == {between._service.key_id}
    assert not {key.user_id for key in await every(store)} & {row.user_id for row in gone}
    after = another(digitwin_db, store, NEW)
    for row, values in zip(kept, encrypted, strict=False):
        assert await after.decrypt(row, values) == VALUES
