"""The generated readers give what Tortoise itself gives, field for field, for every model."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField, TSVectorField

from digitwin.database import Database
from digitwin.errors import StatementFailedError
from digitwin.kernel.orm.encrypted_text import PREFIX, EncryptedText
from digitwin.kernel.orm.hydration import compact_hydrator, hydrate, hydrator
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql.columns import columns, compact
from digitwin.models import AuditLog, ConversationSession, ConversationTurn, User, __models__

TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)
FLOATS = st.floats(allow_nan=False)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - the zone comes below
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
OF_KIND: dict[type, st.SearchStrategy[Any]] = {
    fields.UUIDField: st.uuids(),
    fields.TextField: TEXTS,
    EncryptedText: TEXTS.map(lambda text: PREFIX + text),
    fields.IntField: st.integers(-(2**31), 2**31 - 1),
    fields.BigIntField: st.integers(-(2**63), 2**63 - 1),
    fields.FloatField: FLOATS,
    fields.BooleanField: st.booleans(),
    fields.DatetimeField: MOMENTS,
    fields.BinaryField: st.binary(max_size=60),
    ArrayField: st.lists(TEXTS, max_size=4),
    fields.JSONField: JSONS,
    TSVectorField: st.sampled_from(["", "'orchard':1 'tree':2,3"]),
}


def values_of(field: Any) -> st.SearchStrategy[Any]:
    """Everything a field's column can hold."""
    if isinstance(field, fields.CharField):
        values = st.text(
            st.characters(exclude_characters="\0", codec="utf-8"),
            max_size=min(field.max_length, 60),
        )
    else:
        values = OF_KIND[type(field)]
    return values | st.none() if field.null else values


def rows_of(model: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of a table, whatever its constraints say."""
    meta = model._meta
    row = {name: values_of(meta.fields_map[name]) for name in meta.fields_db_projection}
    if model is AuditLog:
        row["id"] = st.builds(uuid7)  # its month has a partition
    return st.fixed_dictionaries(row)


@pytest.fixture
async def bare(digitwin_db: Database) -> Database:
    """A database in which every row fits: no reader may depend on what a constraint rules out."""
    await digitwin_db._core.db.execute(
        """
        DO $$ DECLARE one record; BEGIN
            FOR one IN
                SELECT conrelid::regclass AS name, conname FROM pg_constraint
                WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace
                AND coninhcount = 0 AND conparentid = 0
            LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', one.name, one.conname);
            END LOOP;
        END $$
        """
    )
    return digitwin_db


def as_json(field: Any, value: Any) -> Any:
    """A parameter: a JSON column takes text, in which null is a value of its own."""
    if not isinstance(field, fields.JSONField) or (value is None and field.null):
        return value
    return json.dumps(value)


Read = Callable[..., Awaitable[tuple[Any, Any]]]


@pytest.fixture
def both(bare: Database) -> Read:
    """Store a row through SQL and read it both ways; with other columns, as a record of ours."""
    db = bare._core.db

    async def read(model: Any, row: dict[str, Any], what: str = "") -> tuple[Any, Any]:
        meta = model._meta
        values = [as_json(meta.fields_map[name], value) for name, value in row.items()]
        names = ", ".join(f'"{meta.fields_db_projection[name]}"' for name in row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        try:
            async with bare.transaction():
                await db.execute(
                    f"INSERT INTO {meta.db_table} ({names}) VALUES ({places})", *values
                )
                record = await db.fetchrow(f"SELECT {what or columns(model)} FROM {meta.db_table}")
                assert record is not None
                theirs = await model.all_objects.get()
                raise _RolledBack  # noqa: TRY301
        except _RolledBack:
            return (record if what else hydrate(model, record, bare._core.origin)), theirs

    return read


class _RolledBack(Exception):
    """The row has been seen."""


def seen(row: Any) -> dict[str, tuple[type, Any]]:
    """Every attribute with its type; JSON's true is not 1, and 1 is not 1.0."""
    return {name: (type(value), value, _exact(value)) for name, value in vars(row).items()}


def _exact(value: Any) -> object:
    return value.utcoffset() if isinstance(value, datetime) else repr(value)


@pytest.mark.parametrize("model", __models__, ids=lambda model: model.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_a_row_is_read_as_tortoise_reads_it(both: Read, model: Any, data: Any) -> None:
    row = data.draw(rows_of(model))
    ours, theirs = await both(model, row)
    assert type(ours) is type(theirs) is model
    assert seen(ours) == seen(theirs)
    assert ours.__dict__["_origin"] == theirs.__dict__["_origin"]


async def test_numbers_beyond_64_bits_are_read_alike(both: Read) -> None:
    """Tortoise alone reads them as floats where orjson is installed."""
    row = {"id": uuid7(), "email": "ada@example.com", "name": "Ada", "settings": {"big": 2.0**64}}
    ours, theirs = await both(User, row)
    assert repr(ours.settings) == repr(theirs.settings) == "{'big': 18446744073709552000}"


@pytest.mark.parametrize("model", __models__, ids=lambda model: model.__name__)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_what_was_stored_comes_back(both: Read, model: Any, data: Any) -> None:
    row = data.draw(rows_of(model))
    ours, _ = await both(model, row)
    for name, value in row.items():
        if not isinstance(model._meta.fields_map[name], fields.JSONField):
            assert getattr(ours, name) == value


async def test_rows_share_nothing_that_can_change(bare: Database) -> None:
    user = await bare.users.create(email="ada@example.com", name="Ada")
    one, two = await bare.users.get(user.id), await bare.users.get(user.id)
    one.settings["a"] = 1
    one.personality_traits.append("curious")
    one.name = "New"
    assert (two.settings, two.personality_traits, two.name) == ({}, [], "Ada")


async def test_a_reader_may_begin_within_a_record(bare: Database) -> None:
    await bare.users.create(email="ada@example.com", name="Ada")
    record = await bare._core.db.fetchrow(f"SELECT 1, 2, {columns(User)}, 3 FROM users")
    assert record is not None
    row = hydrator(User, 2)(record, bare._core.client.origin)
    assert vars(row) == vars(await User.get())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=rows_of(ConversationTurn))
async def test_a_compact_row_is_read_as_tortoise_reads_it(
    both: Read, bare: Database, row: dict[str, Any]
) -> None:
    record, theirs = await both(ConversationTurn, row, compact(ConversationTurn))
    session = ConversationSession.construct(
        id=theirs.session_id, user_id=theirs.user_id, _origin=bare._core.client.origin
    )
    [ours] = compact_hydrator(ConversationTurn)([record], session)
    assert seen(ours) == seen(theirs)


MOMENTS_OF_A_TURN = ("created_at", "updated_at")


async def _set_moment(raw: asyncpg.Connection, column: str, moment: str) -> None:
    """As only an administrator can: digitwin stores the server's clock."""
    await raw.execute("ALTER TABLE conversation_turns DISABLE TRIGGER USER")
    await raw.execute(f"UPDATE conversation_turns SET {column} = '{moment}'")


@pytest.mark.parametrize("column", MOMENTS_OF_A_TURN)
@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
async def test_an_infinite_moment_is_read_as_tortoise_reads_it(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection, column: str, moment: str
) -> None:
    await _set_moment(raw, column, moment)
    theirs = await ConversationTurn.get()
    [ours] = (await digitwin_db.sessions.with_turns(theirs.session_id)).turns
    assert getattr(ours, column) == getattr(theirs, column)
    assert getattr(ours, column).tzinfo is not None


@pytest.mark.parametrize("column", MOMENTS_OF_A_TURN)
@pytest.mark.parametrize("moment", ["0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"])
async def test_a_moment_that_python_cannot_represent_is_named(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection, column: str, moment: str
) -> None:
    session = await ConversationSession.get()
    await _set_moment(raw, column, moment)
    for read in (
        lambda: digitwin_db.sessions.with_turns(session.id),
        lambda: digitwin_db.sessions.turns(session.id),
        lambda: digitwin_db.for_user(ada.id).sessions.turns(session.id),
        ConversationTurn.get,
        lambda: digitwin_db._core.db.fetch("SELECT * FROM conversation_turns"),
    ):
        with pytest.raises(StatementFailedError, match="years 1 to 9999"):
            await read()
    assert await digitwin_db.users.get(ada.id) == ada  # the connections are as good as before


async def test_another_format_of_dates_is_named(digitwin_db: Database, ada: User) -> None:
    session = await ConversationSession.get()
    async with digitwin_db.transaction():
        await digitwin_db._core.db.execute("SET LOCAL datestyle = 'German'")
        with pytest.raises(StatementFailedError, match="datestyle"):
            await digitwin_db.sessions.with_turns(session.id)
