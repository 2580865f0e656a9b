"""Whatever kind of column something stands in, it is found there."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.privacy.scan import SearchTerm, Trace, scan, search_terms
from tests.integration.privacy.conftest import ARTIFACT, FACE, Person

ID = UUID("0190c5a8-7c11-7b3e-9c55-0123456789ab")
NAME = 'Zoë "Z" Müller'
KINDS = {
    "text": ("text", f"Dear {NAME},"),
    "varchar": ("varchar(100)", NAME.upper()),
    "json": ("json", '{"a": ["Zo\\u00eb \\"Z\\" M\\u00fcller"]}'),
    "jsonb": ("jsonb", '{"Zoë \\"Z\\" Müller": 1}'),
    "array": ("text[]", '{"x","Zoë \\"Z\\" Müller"}'),
}


async def found(db: Database, *terms: SearchTerm) -> list[tuple[str, str]]:
    result = await scan(db._core.db, terms)
    return [(trace.column, trace.what) for trace in result.traces if trace.table == "odd"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_is_found(digitwin_db: Database, raw: asyncpg.Connection, kind: str) -> None:
    form, value = KINDS[kind]
    await raw.execute(f"CREATE TABLE odd (id int, held {form})")
    await raw.execute(f"INSERT INTO odd VALUES (1, ($1::text)::{form})", value)
    assert await found(digitwin_db, SearchTerm("name", NAME, is_word=True)) == [("held", "name")]
    assert await found(digitwin_db, SearchTerm("name", "Bob", is_word=True)) == []


async def test_an_id_is_found_in_every_form(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    await raw.execute("CREATE TABLE odd (a uuid, b text, c bytea, d uuid[], e bytea)")
    await raw.execute(
        "INSERT INTO odd VALUES ($1, $2, $3, $4, $5)",
        *(ID, f"user:{str(ID).upper()}", ID.bytes, [ID], str(ID).encode()),
    )
    terms = SearchTerm("id", str(ID), is_word=True), SearchTerm("id", ID.hex)
    assert {column for column, _ in await found(digitwin_db, *terms)} == set("abcde")


async def test_a_short_name_is_a_word_and_no_part_of_one(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE odd (held text)")
    await raw.execute("INSERT INTO odd VALUES ('Canada'), ('Adam')")
    term = SearchTerm("name", "Ada", is_word=True)
    assert await found(digitwin_db, term) == []
    await raw.execute('INSERT INTO odd VALUES (\'x"Ada"\'), (\'{"t": "Hi\\nAda"}\')')
    (trace,) = (await scan(digitwin_db._core.db, [term])).traces
    assert trace == Trace("odd", "held", "name", 2)


async def test_what_a_pattern_would_mean_is_meant_literally(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE odd (held text)")
    await raw.execute("INSERT INTO odd VALUES ('xxxx')")
    assert await found(digitwin_db, SearchTerm("name", "x.*x", is_word=True)) == []


async def test_a_person_is_given_away_by_what_is_theirs(digitwin_db: Database, ada: Person) -> None:
    terms = await search_terms(digitwin_db._core.db, ada.id, digitwin_db.keys)
    told = {term.what for term in terms}
    assert told == {"id", "e-mail", "name", "trait", "what was said", "quote", "document"} | {
        "artifact"
    }
    assert {n.text for n in terms if n.what == "artifact"} == {ARTIFACT, FACE}
    traces = (await scan(digitwin_db._core.db, terms)).traces
    places = {(trace.table, trace.column) for trace in traces}
    assert {
        ("users", "id"),
        ("users", "name"),
        ("user_emails", "address"),
        ("conversation_turns", "user_text"),
        ("vector_search_cache", "value"),
        ("audit_logs", "actor_id"),
        ("rate_limits", "subject"),
    } <= places


async def test_a_table_that_may_not_be_read_is_told(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE odd (held text)")
    async with digitwin_db.transaction():
        await digitwin_db._core.db.execute("SET LOCAL ROLE digitwin_service")
        result = await scan(digitwin_db._core.db, [SearchTerm("name", "Nobody", is_word=True)])
    assert "odd" in result.unread
    assert not result
