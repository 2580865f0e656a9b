"""The trail for other systems: everything once, also after a break and for late commits."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from digitwin import uuid7
from digitwin.audit import exporting
from digitwin.audit.exporting import BIGQUERY, START
from digitwin.database import Database
from digitwin.errors import InvalidInputError


async def exported(db: Database, after: str = START, **asked: Any) -> list[dict[str, Any]]:
    return [row async for row in db.audit.export(after=after, **asked)]


async def test_sealed_records_come_in_the_order_of_their_seals(digitwin_db: Database) -> None:
    ids = [str(await digitwin_db.audit.record("a", "r", metadata={"n": n})) for n in range(3)]
    await digitwin_db.audit.seal()
    ids += [str(await digitwin_db.audit.record("a", "r"))]
    assert [row["id"] for row in await exported(digitwin_db)] == ids[:3]
    await digitwin_db.audit.seal()
    rows = await exported(digitwin_db)
    assert [row["id"] for row in rows] == ids
    assert [row["cursor"] for row in rows] == ["1:1", "1:2", "1:3", "2:1"]
    assert rows[2]["metadata"] == {"n": 2}


async def test_after_a_break_it_goes_on_without_doubles_or_gaps(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    """A late commit, whose id and time are older than what was given out, is not left out."""
    transaction = raw.transaction()
    await transaction.start()
    late = uuid7()
    await raw.execute("INSERT INTO audit_logs (id, action, resource) VALUES ($1, 'a', 'r')", late)
    ids = [await digitwin_db.audit.record("a", "r") for _ in range(5)]
    await digitwin_db.audit.seal()
    given: list[dict[str, Any]] = []
    stream = digitwin_db.audit.export(after=START)
    async for row in stream:
        given.append(row)
        if len(given) == 2:
            break
    await stream.aclose()
    await transaction.commit()
    await digitwin_db.audit.seal()
    given += await exported(digitwin_db, given[-1]["cursor"])
    assert [row["id"] for row in given] == [*map(str, ids), str(late)]
    assert await exported(digitwin_db, given[-1]["cursor"]) == []


async def test_what_is_unsealed_comes_at_the_end_where_asked(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("sealed", "r")
    await digitwin_db.audit.seal()
    await digitwin_db.audit.record("new", "r")
    rows = await exported(digitwin_db, unsealed=True)
    assert [(row["action"], row["cursor"]) for row in rows] == [("sealed", "1:1"), ("new", None)]


async def test_a_period_bounds_it(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    now = await raw.fetchval("SELECT now()")
    await digitwin_db.audit.record("a", "r")
    await digitwin_db.audit.seal()
    assert len(await exported(digitwin_db, since=now, until=now + timedelta(hours=1))) == 1
    assert await exported(digitwin_db, until=now) == []
    assert await exported(digitwin_db, since=now + timedelta(hours=1)) == []


@pytest.mark.parametrize("cursor", ["", "1", "1:", ":1", "-1:1", "1:1:1", "a:b", "01:1", 5])
async def test_a_cursor_that_is_none_is_refused(digitwin_db: Database, cursor: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await exported(digitwin_db, cursor)
    assert refused.value.details["field"] == "after"


async def test_lines_have_the_columns_of_the_table(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("a", "r")
    await digitwin_db.audit.seal()
    [row] = await exported(digitwin_db)
    assert list(row) == [column["name"] for column in BIGQUERY]
    for column in BIGQUERY:
        if column["mode"] == "REQUIRED":
            assert row[column["name"]] is not None


def test_a_file_is_gone_on_with_behind_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "export.ndjson"
    file, cursor = exporting.open_to_continue(path)
    assert cursor == START
    whole = [exporting.to_line({"cursor": f"1:{n}", "text": "ü" * 1000}) for n in range(1, 4)]
    file.write(b"".join(whole) + whole[0][:-5])
    file.close()
    file, cursor = exporting.open_to_continue(path)
    assert cursor == "1:3"
    file.write(b"next\n")
    file.close()
    assert path.read_bytes() == b"".join(whole) + b"next\n"


def test_a_file_of_one_broken_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "export.ndjson"
    path.write_bytes(b'{"cursor": "1:1", "te')
    file, cursor = exporting.open_to_continue(path)
    file.close()
    assert (cursor, path.read_bytes()) == (START, b"")


@pytest.mark.parametrize("content", [b"a letter", b"a letter\n", b'{"cursor": null}\n', b"[]\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="no export"):
        exporting.open_to_continue(path)
    assert path.read_bytes() == content


def test_the_schema_is_one_that_json_can_say() -> None:
    assert json.loads(json.dumps(BIGQUERY))[0]["name"] == "cursor"
