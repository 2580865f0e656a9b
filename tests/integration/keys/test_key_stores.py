"""Where wrapped keys are kept: what is said to stand stands, what is forgotten is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from pathlib import Path
from uuid import UUID

import pytest

import digitwin
from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.keys.file_store import FileKeyStore
from digitwin.keys.ports import KeyStore, StoredKey
from tests.integration.keys.conftest import every, some_key


async def test_the_first_key_stays(store: KeyStore) -> None:
    user_id = uuid7()
    first, second = some_key(user_id), some_key(user_id)
    assert await store.put_if_absent(first) == first
    assert await store.put_if_absent(second) == first
    assert await store.get([user_id, uuid7()]) == {user_id: first}


async def test_a_key_is_replaced_only_where_it_is_the_one_that_was_read(store: KeyStore) -> None:
    user_id = uuid7()
    first, second, third = (some_key(user_id) for _ in range(3))
    await store.put_if_absent(first)
    assert await store.replace(first, second)
    assert not await store.replace(first, third)
    assert await store.get([user_id]) == {user_id: second}


async def test_a_destroyed_key_does_not_come_back_by_a_replacement(store: KeyStore) -> None:
    key = some_key(uuid7())
    await store.put_if_absent(key)
    assert await store.destroy(key.user_id)
    assert not await store.replace(key, some_key(key.user_id))
    assert not await store.destroy(key.user_id)
    assert await store.get([key.user_id]) == {}


async def test_all_are_walked_a_page_at_a_time(store: KeyStore) -> None:
    keys = {uuid7() for _ in range(7)}
    for user_id in keys:
        await store.put_if_absent(some_key(user_id))
    met: list[UUID] = []
    while page := await store.page(met[-1] if met else None, 3):
        met += [key.user_id for key in page]
    assert (len(met), set(met)) == (7, keys)


async def test_the_files_are_for_their_owner_alone_and_name_nobody(tmp_path: Path) -> None:
    store, key = FileKeyStore(tmp_path / "keys"), some_key(uuid7())
    await store.put_if_absent(key)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert str(key.user_id) not in path.name


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store, key = FileKeyStore(tmp_path), some_key(uuid7())
    await store.put_if_absent(key)
    path = store._path(key.user_id)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(KeyUnavailableError, match=path.name):
        await store.get([key.user_id])


def test_a_folder_that_cannot_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as error:
        FileKeyStore(tmp_path / "file")
    assert error.value.details["field"] == "key_store_path"


def _die_while_writing(folder: str, key: StoredKey, at: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    store = FileKeyStore(Path(folder))
    setattr(os, at, die)
    store._write(key)


@pytest.mark.parametrize("at", ["fsync", "replace"])
async def test_a_process_that_dies_while_it_writes_leaves_the_key_that_was(
    tmp_path: Path, at: str
) -> None:
    store, key = FileKeyStore(tmp_path), some_key(uuid7())
    await store.put_if_absent(key)
    dying = multiprocessing.get_context("spawn").Process(
        target=_die_while_writing, args=(str(tmp_path), some_key(key.user_id), at)
    )
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert await store.get([key.user_id]) == {key.user_id: key}
    assert len(await every(store)) == 1
    FileKeyStore(tmp_path)
    assert {os.path.splitext(name)[1] for name in os.listdir(tmp_path)} == {".key", ""}


async def test_the_folder_of_the_settings_is_used(digitwin_url: str, tmp_path: Path) -> None:
    async with digitwin.connect(digitwin_url, migrate="skip", key_store_path=tmp_path) as db:
        assert isinstance(db.keys._store, FileKeyStore)
        assert not await db.keys.destroy(uuid7())
