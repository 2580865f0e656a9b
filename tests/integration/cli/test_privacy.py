"""``digitwin privacy``: what a person asked for, done by hand."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import Result

from digitwin.database import Database
from tests.integration.privacy.conftest import STRINGS, fill

Cli = Callable[..., Awaitable[Result]]


@pytest.mark.parametrize("by", ["id", "address"])
async def test_an_export_is_a_file(
    digitwin_db: Database, cli: Cli, tmp_path: Path, by: str
) -> None:
    ada = await fill(digitwin_db)
    file = tmp_path / "ada.zip"
    user = str(ada.id) if by == "id" else STRINGS[0]
    result = await cli("privacy", "export", user, "--output", str(file), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["bytes"] == file.stat().st_size
    assert "index.html" in zipfile.ZipFile(file).namelist()


async def test_no_file_is_written_over(digitwin_db: Database, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("mine")
    result = await cli("privacy", "export", STRINGS[0], "--output", str(file))
    assert result.exit_code == 1
    assert "exists" in result.stderr
    assert file.read_text() == "mine"


async def test_an_erasure_has_a_receipt(digitwin_db: Database, cli: Cli) -> None:
    ada = await fill(digitwin_db)
    result = await cli(
        *("privacy", "erase", STRINGS[0], "--reason", "asked for it", "--verify", "--yes", "--json")
    )
    assert result.exit_code == 0, result.output
    receipt = json.loads(result.stdout)
    assert receipt["counts"]["users"] == 1
    assert receipt["scan"] == {"traces": [], "unread": []}
    assert await digitwin_db.users.find(ada.id, include_deleted=True) is None
    listed = await cli("privacy", "receipts")
    assert receipt["id"] in listed.stdout
    assert "2 artifacts pending" in listed.stdout
    (listed_receipt,) = json.loads((await cli("privacy", "receipts", "--json")).stdout)["receipts"]
    assert listed_receipt["subject_hash"] == receipt["subject_hash"]


async def test_nobody_is_erased_who_was_not_agreed_to(digitwin_db: Database, cli: Cli) -> None:
    await fill(digitwin_db)
    result = await cli("privacy", "erase", STRINGS[0], "--reason", "x")
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert await digitwin_db.users.count() == 1


async def test_a_replay_says_what_it_did(
    digitwin_db: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DIGITWIN_ERASURE_LEDGER", str(tmp_path / "ledger.jsonl"))
    ada = await fill(digitwin_db)
    await cli("privacy", "erase", str(ada.id), "--reason", "x", "--yes")
    result = await cli("privacy", "replay", "--json")
    assert json.loads(result.stdout) == {"entries": 1, "users": 0, "participants": 0}
