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
