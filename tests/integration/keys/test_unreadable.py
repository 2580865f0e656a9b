"""One key or one value that cannot be read: its row says so, and the others come."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.keys.ports import KeyStore
from digitwin.models import User, VoiceModel
from tests.integration.keys.conftest import NEW, OLD, another, place

SECRET: Any = {"artifact_uri": "s3://voices/plain.bin", "checksum": "sha256:plain"}


@pytest.fixture(params=["voices", "faces"])
def models(request: pytest.FixtureRequest, digitwin_db: Database) -> Any:
    return getattr(digitwin_db, request.param)


@pytest.fixture
async def rows(models: Any, ada: User, bob: User) -> tuple[Any, Any]:
    """Ada's row and Bob's."""
    return tuple([await models.create(user_id=o.id, name="Warm", **SECRET) for o in (ada, bob)])


async def damage(db: Database, raw: asyncpg.Connection, how: str, owner: Any, table: str) -> None:
    """Make Bob's values unreadable, for handles that open from now on."""
    if how == "destroyed":
        await raw.execute("DELETE FROM user_keys WHERE user_id = $1", owner)
    elif how == "damaged":
        await raw.execute(
            "UPDATE user_keys SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))"
            " WHERE user_id = $1",
            owner,
        )
    elif how == "other master key":
        stranger = another(db, db.keys._store, b"x" * 32)
        await raw.execute("DELETE FROM user_keys WHERE user_id = $1", owner)
        await stranger.encrypt(place(owner), {"artifact_uri": "x"})
    else:
        await raw.execute(
            f"UPDATE {table} SET artifact_uri = checksum, checksum = artifact_uri"
            " WHERE user_id = $1",
            owner,
        )
    db.keys._cache.clear()


HOW = {
    "destroyed": KeyUnavailableError,
    "damaged": KeyUnavailableError,
    "other master key": KeyUnavailableError,
    "moved": InvalidStateError,
}


@pytest.mark.parametrize("how", HOW)
async def test_the_row_says_so_and_the_others_come(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any, how: str
) -> None:
    mine, theirs = rows
    await damage(digitwin_db, raw, how, theirs.user_id, models.model._meta.db_table)
    pages = [(await models.list()).items, [row async for row in models.stream()]]
    service = digitwin_db.for_service(reason="list")
    repository: Any = service.voices if models is digitwin_db.voices else service.faces
    pages.append((await repository.list()).items)
    for found in pages:
        good, bad = found
        assert (good.id, good.unreadable) == (mine.id, ())
        assert good.artifact_uri == SECRET["artifact_uri"]
        assert (bad.id, bad.name) == (theirs.id, "Warm")
        assert bad.unreadable == ("artifact_uri", "checksum")
        for name in bad.unreadable:
            with pytest.raises(HOW[how], match=name) as caught:
                getattr(bad, name)
            assert caught.value.details["field"] == name
            assert caught.value.details["id"] == str(theirs.id)
    with pytest.raises(HOW[how]):
        await models.get(theirs.id)


async def test_one_changed_value_leaves_the_other(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any
) -> None:
    table = models.model._meta.db_table
    await raw.execute(f"UPDATE {table} SET checksum = artifact_uri WHERE id = $1", rows[1].id)
    bad = (await models.list()).items[1]
    assert (bad.unreadable, bad.artifact_uri) == (("checksum",), SECRET["artifact_uri"])


async def test_a_row_without_values_needs_no_key(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any, bob: User
) -> None:
    await models.create(user_id=bob.id, name="Bare")
    await damage(digitwin_db, raw, "destroyed", bob.id, "")
    bare = (await models.list()).items[2]
    assert (bare.unreadable, bare.artifact_uri) == ((), None)


async def test_a_save_leaves_what_it_could_not_read(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any
) -> None:
    table = models.model._meta.db_table
    stored = f"SELECT artifact_uri, checksum FROM {table} WHERE id = $1"
    before = await raw.fetchrow(stored, rows[1].id)
    (key,) = await raw.fetch("SELECT * FROM user_keys WHERE user_id = $1", rows[1].user_id)
    await damage(digitwin_db, raw, "destroyed", rows[1].user_id, table)
    bad = (await models.list()).items[1]
    bad.provider = "acme"
    await bad.save()
    bad.artifact_uri = "s3://other"
    with pytest.raises(InvalidStateError, match=r"db\.\w+\.update"):
        await bad.save()
    assert before == await raw.fetchrow(stored, rows[1].id)
    await raw.execute("INSERT INTO user_keys SELECT ($1::user_keys).*", key)
    again = await models.get(rows[1].id)
    assert (again.provider, again.artifact_uri) == ("acme", SECRET["artifact_uri"])


async def test_a_copy_says_so_too(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any
) -> None:
    await damage(digitwin_db, raw, "destroyed", rows[1].user_id, "")
    bad = (await models.list()).items[1]
    for other in (copy.copy(bad), copy.deepcopy(bad), pickle.loads(pickle.dumps(bad))):
        assert other.unreadable == ("artifact_uri", "checksum")
        with pytest.raises(KeyUnavailableError, match="artifact_uri"):
            _ = other.artifact_uri
    with pytest.raises(AttributeError):
        _ = bad.no_such_field


async def test_models_used_directly_and_exports_come_too(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, rows: Any, tmp_path: Any
) -> None:
    import zipfile

    await damage(digitwin_db, raw, "destroyed", rows[1].user_id, "")
    assert await models.model.all().count() == len(await models.model.all()) == 2
    await digitwin_db.privacy.export(rows[1].user_id).write_to(tmp_path / "bob.zip")
    with zipfile.ZipFile(tmp_path / "bob.zip") as archive:
        (line,) = archive.read(f"data/{models.model._meta.db_table}.ndjson").splitlines()
    row = json.loads(line)
    assert row["unreadable"] == ["artifact_uri", "checksum"]
    assert row["artifact_uri"] is None


async def test_a_rotation_goes_past_a_key_that_fails(
    digitwin_db: Database, store: KeyStore
) -> None:
    old = another(digitwin_db, store, OLD)
    places = [place() for _ in range(4)]
    for each in places:
        await old.encrypt(each, {"artifact_uri": "s3://one"})
    await store.destroy(places[1].user_id)
    await another(digitwin_db, store, b"x" * 32).encrypt(places[1], {"artifact_uri": "s3://two"})
    with pytest.raises(KeyUnavailableError, match="could not be rewrapped: 1") as caught:
        await another(digitwin_db, store, NEW, OLD).rotate()
    done = {name: caught.value.details[name] for name in ("rewrapped", "current", "unreadable")}
    assert done == {"rewrapped": 3, "current": 0, "unreadable": 1}
    after = another(digitwin_db, store, NEW)
    assert [await after.has_key(each.user_id) for each in (places[0], places[3])] == [True, True]


def test_a_model_without_an_unreadable_value_says_so() -> None:
    assert VoiceModel(name="New").unreadable == ()
