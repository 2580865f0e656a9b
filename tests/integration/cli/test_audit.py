"""``digitwin audit``: what is wrong is named, and what is exported goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from typer.testing import Result

from digitwin.audit.exporting import BIGQUERY
from digitwin.database import Database
from digitwin.kernel.execution.opening import connect_arguments
from digitwin.kernel.primitives.ids import floor_id, uuid7

Cli = Callable[..., Awaitable[Result]]


async def sealed(db: Database, count: int = 3) -> list[UUID]:
    ids = [await db.audit.record(f"step {n}", "test") for n in range(count)]
    await db.audit.seal()
    return ids


async def edit(db: Database, sql: str, *args: object) -> None:
    raw = await asyncpg.connect(**connect_arguments(db.settings, db._target))
    await raw.execute("SET session_replication_role = replica")
    await raw.execute(sql, *args)
    await raw.close()


async def test_a_trail_in_order_is_said_to_be(digitwin_db: Database, cli: Cli) -> None:
    await sealed(digitwin_db)
    result = await cli("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "is intact" in result.stdout
    assert "seals are not signed" in result.stdout


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("changed", "UPDATE audit_logs SET action = 'step X' WHERE id = $1"),
        ("removed", "DELETE FROM audit_logs WHERE id = $1"),
    ],
)
async def test_what_is_wrong_is_named_with_code_1(
    digitwin_db: Database, cli: Cli, kind: str, change: str
) -> None:
    ids = await sealed(digitwin_db)
    await edit(digitwin_db, change, ids[1])
    result = await cli("audit", "verify")
    assert result.exit_code == 1
    assert kind in result.stdout, result.output
    assert str(ids[1]) in result.stdout
    result = await cli("audit", "verify", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["ok"]
    assert [(fault["kind"], fault["record_id"]) for fault in found["faults"]] == [
        (kind, str(ids[1]))
    ]


async def test_an_archive_is_verified_without_a_database(
    digitwin_db_factory: Callable[..., Awaitable[Database]],
    digitwin_url: str,
    cli: Cli,
    tmp_path: Path,
) -> None:
    db = await digitwin_db_factory(digitwin_url, audit_archive=tmp_path)
    then = datetime.now(UTC) - timedelta(days=100)
    old = UUID(int=floor_id(then).int | uuid7().int & (1 << 80) - 1)
    await edit(
        db,
        "INSERT INTO audit_logs (id, action, resource, created_at) VALUES ($1, 'a', 'r', $2)",
        *(old, then),
    )
    await sealed(db)
    await db.audit.purge()
    [file] = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - a test may wait for its disk
    result = await cli("audit", "verify", "--archive", str(file), url="postgres://nowhere/none")
    assert result.exit_code == 0, result.output
    assert "1 records" in result.stdout


async def test_an_export_goes_on_where_its_file_ends(
    digitwin_db: Database, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "trail.ndjson"
    ids = await sealed(digitwin_db)
    assert (await cli("audit", "export", "--to", str(file))).exit_code == 0
    with file.open("ab") as broken:
        broken.write(b'{"cursor":"1:')
    ids += await sealed(digitwin_db, 2)
    result = await cli("audit", "export", "--to", str(file), "--json")
    assert json.loads(result.stdout) == {"lines": 2}
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [*map(str, ids)]


async def test_an_export_streams_lines_and_goes_on_after_one(
    digitwin_db: Database, cli: Cli
) -> None:
    ids = await sealed(digitwin_db)
    lines = [json.loads(line) for line in (await cli("audit", "export")).stdout.splitlines()]
    assert [line["id"] for line in lines] == [*map(str, ids)]
    result = await cli("audit", "export", "--after", lines[1]["cursor"])
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [str(ids[2])]
    result = await cli("audit", "export", "--until", "2020-01-01")
    assert (result.exit_code, result.stdout) == (0, "")


async def test_the_schema_for_bigquery_needs_no_database(cli: Cli) -> None:
    result = await cli("audit", "export", "--schema", "bigquery", url="postgres://nowhere/none")
    assert json.loads(result.stdout) == [*BIGQUERY]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--schema", "other"],
        ["--since", "soon"],
        ["--to", "x", "--after", "1:1"],
        ["--to", "x", "--unsealed"],
    ],
)
async def test_what_does_not_fit_is_wrong_usage(cli: Cli, wrong: list[str]) -> None:
    assert (await cli("audit", "export", *wrong)).exit_code == 2
