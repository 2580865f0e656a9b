"""Encrypted fields: repositories show them, the database and models used directly do not."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import digitwin
from digitwin.database import Database
from digitwin.errors import (
    ConfigurationError,
    InvalidStateError,
    KeyUnavailableError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.orm.encrypted_text import PREFIX
from digitwin.models import User, VoiceModel

URI, SUM = "s3://voices/plain-ada.bin", "sha256:plain"
SECRET: Any = {"artifact_uri": URI, "checksum": SUM}


@pytest.fixture(params=["voices", "faces"])
def models(request: pytest.FixtureRequest, digitwin_db: Database) -> Any:
    return getattr(digitwin_db, request.param)


async def stored(raw: asyncpg.Connection, models: Any) -> list[Any]:
    """Every row of the table as text, as it stands there."""
    rows = await raw.fetch(f"SELECT t::text AS row FROM {models.model._meta.db_table} t")
    return [row["row"] for row in rows]


def shows(model: Any) -> bool:
    return (model.artifact_uri, model.checksum) == (URI, SUM)


async def all_shown(models: Any) -> list[bool]:
    """Read what is encrypted of every row; a page itself comes whatever its rows hold."""
    return [shows(model) for model in (await models.list()).items]


async def test_no_way_of_writing_leaves_plain_text(
    raw: asyncpg.Connection, models: Any, ada: User
) -> None:
    await models.create(user_id=ada.id, name="A", **SECRET)
    await models.create_many([{"user_id": ada.id, "name": "B", **SECRET}] * 2)
    model = await models.create(user_id=ada.id, name="C")
    await models.update(model.id, **SECRET)
    rows = await stored(raw, models)
    assert len(rows) == 4
    for row in rows:
        assert row.count(PREFIX) == 2
        assert "plain" not in row


async def test_every_way_of_reading_shows_what_was_written(models: Any, ada: User) -> None:
    first = await models.create(user_id=ada.id, name="A", status="ready", **SECRET)
    many = await models.create_many([{"user_id": ada.id, "name": "B", **SECRET}])
    id = first.id
    read = [
        first,
        *many,
        await models.get(id),
        await models.find(id),
        *(await models.list()).items,
        *[model async for model in models.stream()],
        await models.update(id, name="C"),
        await models.update(id, **SECRET),
        await models.deactivate(id),
    ]
    await models.delete(id)
    read += [await models.get(id, include_deleted=True), await models.restore(id)]
    assert len(read) == 13
    assert all(shows(model) for model in read)


async def test_a_stream_of_many_people_shows_all_of_them(digitwin_db: Database) -> None:
    people = await digitwin_db.users.create_many(
        [{"email": f"p{n}@example.com", "name": "P"} for n in range(60)]
    )
    for user in people[::2]:
        await digitwin_db.voices.create_many(
            [{"user_id": user.id, "name": f"V{n}", "checksum": f"{user.id}{n}"} for n in range(20)]
        )
    digitwin_db.keys._cache.clear()
    seen = [model async for model in digitwin_db.voices.stream()]
    assert len(seen) == 600
    assert all(model.checksum == f"{model.user_id}{model.name[1:]}" for model in seen)


async def test_models_used_directly_show_what_is_stored(digitwin_db: Database, ada: User) -> None:
    made = await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    for model in (
        await VoiceModel.get(id=made.id),
        (await ada.voice_models)[0],  # type: ignore[attr-defined]
        (await VoiceModel.all())[0],
    ):
        assert model.artifact_uri.startswith(PREFIX)
        assert model.checksum.startswith(PREFIX)
    assert await VoiceModel.filter(artifact_uri=URI).count() == 0


async def test_a_save_of_what_a_repository_read_leaves_the_seal(
    raw: asyncpg.Connection, models: Any, ada: User
) -> None:
    model = await models.create(user_id=ada.id, name="A", **SECRET)
    before = await stored(raw, models)
    model.name = "B"
    await model.save()
    await model.save(update_fields=["name"])
    [after] = await stored(raw, models)
    assert "plain" not in after
    assert after.count(PREFIX) == before[0].count(PREFIX) == 2
    again = await models.get(model.id)
    assert shows(again)
    assert again.name == "B"


async def test_a_save_of_what_was_read_directly_leaves_the_seal(
    digitwin_db: Database, ada: User
) -> None:
    id = (await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)).id
    model = await VoiceModel.get(id=id)
    model.name = "B"
    await model.save()
    assert shows(await digitwin_db.voices.get(id))
    opened = await digitwin_db.voices.get(id)
    await opened.refresh_from_db()
    opened.name = "C"
    await opened.save()
    assert shows(await digitwin_db.voices.get(id))


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize("field", ["artifact_uri", "checksum"])
@pytest.mark.parametrize("named", [True, False])
async def test_a_sensitive_field_is_not_changed_on_the_model(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    directly: bool,
    field: str,
    named: bool,
) -> None:
    voices = digitwin_db.voices
    id = (await voices.create(user_id=ada.id, name="A", **SECRET)).id
    model = await VoiceModel.get(id=id) if directly else await voices.get(id)
    setattr(model, field, "s3://plain/elsewhere")
    with pytest.raises(InvalidStateError, match=rf"db.voices.update\(id, {field}=…\)"):
        await model.save(update_fields=[field] if named else None)
    with pytest.raises(InvalidStateError, match=r"db.voices.update"):
        await VoiceModel.filter(id=id).update(**{field: "s3://plain/elsewhere"})
    assert "plain" not in (await stored(raw, voices))[0]
    assert shows(await voices.get(id))


async def test_another_change_through_the_repository_is_named_and_not_the_sealed_field(
    digitwin_db: Database, ada: User
) -> None:
    model = await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    model.status = "ready"
    with pytest.raises(InvalidStateError) as error:
        await model.save()
    assert error.value.details["field"] == "status"
    stale = await digitwin_db.voices.get(model.id)
    await digitwin_db.voices.update(model.id, name="B")
    with pytest.raises(StaleVersionError):
        await stale.save()


SWAPS = {
    "columns": "UPDATE {t} SET artifact_uri = checksum, checksum = artifact_uri",
    "rows": "UPDATE {t} SET artifact_uri = (SELECT o.artifact_uri FROM {t} o WHERE o.id <> {t}.id)",
    "a bit": "UPDATE {t} SET artifact_uri = overlay(artifact_uri PLACING"
    " CASE WHEN substr(artifact_uri, 30, 1) = 'A' THEN 'B' ELSE 'A' END FROM 30)",
    "cut": "UPDATE {t} SET artifact_uri = left(artifact_uri, 20)",
    "replaced": "UPDATE {t} SET artifact_uri = 'dt1:s3://evil'",
}


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("same_person", [True, False])
async def test_what_was_changed_or_moved_in_the_database_is_refused(
    raw: asyncpg.Connection,
    models: Any,
    ada: User,
    bob: User,
    swap: str,
    same_person: bool,
) -> None:
    first = await models.create(user_id=ada.id, name="A", **SECRET)
    await models.create(user_id=ada.id if same_person else bob.id, name="B", **SECRET)
    await raw.execute(SWAPS[swap].format(t=models.model._meta.db_table))
    for read in (models.get, models.find, lambda _: all_shown(models)):
        with pytest.raises(InvalidStateError) as error:
            await read(first.id)
        assert error.value.details["field"] in SECRET


async def test_a_row_given_to_another_person_does_not_open(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, bob: User
) -> None:
    mine = await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    await digitwin_db.voices.create(user_id=bob.id, name="B", **SECRET)
    await raw.execute("UPDATE voice_models SET user_id = $1 WHERE id = $2", bob.id, mine.id)
    with pytest.raises(InvalidStateError):
        await digitwin_db.voices.get(mine.id)


async def test_without_sensitive_values_no_key_is_needed_or_made(digitwin_url: str) -> None:
    async with digitwin.connect(digitwin_url, migrate="skip", master_key=None) as db:
        ada = await db.users.create(email="ada@example.com", name="Ada")
        model = await db.voices.create(user_id=ada.id, name="A")
        await db.voices.update(model.id, name="B", checksum=None)
        await db.voices.get(model.id)
        await db.voices.delete(model.id)
        assert await db._core.db.fetchval("SELECT count(*) FROM user_keys") == 0
        with pytest.raises(ConfigurationError, match="digitwin keys generate") as error:
            await db.voices.create(user_id=ada.id, name="A", **SECRET)
        assert error.value.details["field"] == "master_key"
        assert await db.voices.count() == 0


async def test_a_key_is_made_once_for_a_person_and_none_for_who_is_not_there(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    for _ in range(3):
        await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.voices.create(user_id=digitwin.uuid7(), name="A", **SECRET)
    assert await raw.fetchval("SELECT array_agg(user_id) FROM user_keys") == [ada.id]


async def test_the_first_models_of_a_person_made_at_once_share_a_key(
    digitwin_url: str, digitwin_db_factory: Callable[..., Any], ada: User
) -> None:
    handles = [await digitwin_db_factory(digitwin_url) for _ in range(4)]
    made = await asyncio.gather(
        *(db.voices.create(user_id=ada.id, name="A", **SECRET) for db in handles * 3)
    )
    for db in handles:
        for model in made:
            assert shows(await db.voices.get(model.id))


async def test_in_a_transaction_that_also_makes_the_person(digitwin_db: Database) -> None:
    async with digitwin_db.transaction():
        ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
        made = await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    assert shows(await digitwin_db.voices.get(made.id))


async def test_a_destroyed_key_stops_reads_and_not_the_removal(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, ada: User
) -> None:
    model = await models.create(user_id=ada.id, name="A", **SECRET)
    other = await models.create(user_id=ada.id, name="B")
    assert await digitwin_db.keys.destroy(ada.id)
    for call in (models.get(model.id), all_shown(models), models.update(model.id, name="C")):
        with pytest.raises(KeyUnavailableError) as error:
            await call
        assert error.value.details["user_id"] == str(ada.id)
    assert (await models.get(other.id)).name == "B"
    rows = " ".join(await stored(raw, models))
    assert ",A," in rows  # the update that could not answer has changed nothing
    assert ",C," not in rows
    await models.delete(model.id)
    await models.hard_delete(model.id)
    assert await models.count(include_deleted=True) == 1


async def test_plain_text_written_into_the_database_is_refused_on_read(
    models: Any, ada: User, raw: asyncpg.Connection
) -> None:
    """The CHECK keeps it out; where that is gone, the read does not show it as genuine."""
    made = await models.create(user_id=ada.id, name="A", **SECRET)
    table = models.model._meta.db_table
    write = f"UPDATE {table} SET artifact_uri = $1"
    with pytest.raises(asyncpg.CheckViolationError, match="__artifact_uri"):
        await raw.execute(write, URI)
    await raw.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}__artifact_uri")
    await raw.execute(write, URI)
    for call in (models.get(made.id), all_shown(models), models.update(made.id, name="B")):
        with pytest.raises(InvalidStateError) as error:
            await call
        assert error.value.details["field"] == "artifact_uri"
        assert URI not in error.value.message
    assert await raw.fetchval(f"SELECT name FROM {table}") == "A"


FORGERIES = {
    "plain text": "UPDATE {t} SET {f} = 's3://evil'",
    "no text": "UPDATE {t} SET {f} = ''",
    "another format": "UPDATE {t} SET {f} = 'dt2:' || substr({f}, 5)",
    "another field's": "UPDATE {t} SET {f} = CASE '{f}' WHEN 'checksum' THEN artifact_uri"
    " ELSE checksum END",
    "another row's": "UPDATE {t} SET {f} = (SELECT {f} FROM {t} WHERE name = 'mine too')",
    "another person's": "UPDATE {t} SET {f} = (SELECT {f} FROM {t} WHERE name = 'theirs')",
    "another table's": "UPDATE {t} SET {f} = (SELECT {f} FROM {other} LIMIT 1)",
}


@pytest.mark.parametrize("field", ["artifact_uri", "checksum"])
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_every_way_of_reading_refuses_what_others_wrote(
    digitwin_db: Database,
    models: Any,
    ada: User,
    bob: User,
    raw: asyncpg.Connection,
    field: str,
    forgery: str,
) -> None:
    made = await models.create(user_id=ada.id, name="A", status="ready", **SECRET)
    await models.create(user_id=ada.id, name="mine too", **SECRET)
    await models.create(user_id=bob.id, name="theirs", **SECRET)
    tables = {digitwin_db.voices: "voice_models", digitwin_db.faces: "face_models"}
    for repository in tables:
        await repository.create(user_id=ada.id, name="elsewhere", **SECRET)
    table = tables.pop(models)
    await raw.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}__{field}")
    sql = FORGERIES[forgery].format(t=table, f=field, other=next(iter(tables.values())))
    await raw.execute(f"{sql} WHERE id = $1", made.id)
    purpose = "voice" if table == "voice_models" else "face"
    await digitwin_db.consents.grant(ada.id, purpose=purpose, evidence="signed")  # type: ignore[arg-type]
    await raw.execute(f"UPDATE {table} SET is_active = true WHERE id = $1", made.id)
    scoped = getattr(digitwin_db.for_user(ada.id), "voices" if purpose == "voice" else "faces")

    async def listed(repository: Any) -> None:
        shown((await repository.list()).items)

    async def streamed() -> None:
        shown([row async for row in models.stream(user_id=ada.id)])

    def shown(rows: list[Any]) -> None:
        """The other rows come; this one says which field cannot be read."""
        [row] = [row for row in rows if row.id == made.id]
        assert row.unreadable == (field,)
        getattr(row, field)

    async def in_a_transaction() -> None:
        async with digitwin_db.transaction():
            await models.get(made.id)

    ways = (
        *(models.get(made.id), models.find(made.id), scoped.get(made.id), listed(models)),
        *(listed(scoped), streamed(), in_a_transaction(), models.update(made.id, name="B")),
        *(models.active_for(ada.id), scoped.active_for(), models.deactivate(made.id)),
    )
    for way in ways:
        with pytest.raises(InvalidStateError) as error:
            await way
        assert error.value.details["field"] == field
        assert "evil" not in str(error.value)


@pytest.mark.parametrize("field", ["artifact_uri", "checksum"])
async def test_models_used_directly_refuse_plain_text(
    digitwin_db: Database, models: Any, ada: User, raw: asyncpg.Connection, field: str
) -> None:
    made = await models.create(user_id=ada.id, name="A", **SECRET)
    model, table = models.model, models.model._meta.db_table
    await raw.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}__{field}")
    await raw.execute(f"UPDATE {table} SET {field} = 's3://evil'")
    read = await User.get(id=ada.id)
    for way in (
        *(model.get(id=made.id), model.all(), model.filter(id=made.id).first()),
        *(model.all().only("id", field), model.all_objects.all()),
        *(model.all().values("id", field), model.all().values_list(field, flat=True)),
        *(User.all().values(f"{table}__{field}"), User.all().prefetch_related(table)),
        *(read.fetch_related(table), made.refresh_from_db()),
    ):
        with pytest.raises(InvalidStateError) as error:
            await way
        assert error.value.details["field"] == field
        assert "evil" not in str(error.value)


async def test_rows_are_written_and_read_while_the_master_key_changes(
    digitwin_url: str, digitwin_db_factory: Callable[..., Any], ada: User, bob: User
) -> None:
    old, new = sealed_key(), sealed_key()
    before = await digitwin_db_factory(digitwin_url, master_key=old)
    rows = [await before.voices.create(user_id=ada.id, name=f"{n}", **SECRET) for n in range(9)]
    between = await digitwin_db_factory(digitwin_url, master_key=new, master_keys_retired=old)
    raw = await between._core.db.fetch("SELECT artifact_uri FROM voice_models ORDER BY id")

    async def write() -> None:
        for _ in range(10):
            made = await between.voices.create(user_id=bob.id, name="new", **SECRET)
            assert shows(await between.voices.get(made.id))
            assert shows(await between.voices.get(rows[0].id))

    await asyncio.gather(write(), between.keys.rotate(), between.keys.rotate())
    after = await digitwin_db_factory(digitwin_url, master_key=new)
    assert all([shows(model) async for model in after.voices.stream()])
    untouched = await between._core.db.fetch(
        "SELECT artifact_uri FROM voice_models WHERE user_id = $1 ORDER BY id", ada.id
    )
    assert untouched == raw


def sealed_key() -> str:
    from digitwin.keys import master_keys

    return master_keys.generate()


async def test_a_dump_without_the_keys_opens_nothing(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    """As a restored backup that left them out: the master key alone does not help."""
    made = await digitwin_db.voices.create(user_id=ada.id, name="A", **SECRET)
    await raw.execute("TRUNCATE user_keys")
    digitwin_db.keys._cache.clear()
    with pytest.raises(KeyUnavailableError):
        await digitwin_db.voices.get(made.id)


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=128
).filter(str.strip)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(uri=TEXT | TEXT.map(lambda text: (PREFIX + text)[:128]))
def test_whatever_is_written_comes_back(digitwin_url: str, uri: str) -> None:
    async def round_trip() -> None:
        async with digitwin.connect(digitwin_url, migrate="skip") as db:
            user = await db.users.create(email=f"{secrets.token_hex(8)}@example.com", name="A")
            made = await db.voices.create(user_id=user.id, name="A", artifact_uri=uri)
            assert made.artifact_uri == uri
            assert (await db.voices.get(made.id)).artifact_uri == uri
            await db.voices.update(made.id, checksum=uri)
            assert (await db.voices.get(made.id)).checksum == uri
            raw = await db._core.db.fetchrow(
                "SELECT artifact_uri, checksum FROM voice_models WHERE id = $1", made.id
            )
            assert raw is not None
            assert uri not in raw.values()

    asyncio.run(round_trip())
