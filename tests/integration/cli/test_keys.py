"""``digitwin keys``: a master key is made and changed."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import digitwin
from digitwin.cli.app import app
from digitwin.database import Database
from digitwin.keys import master_keys
from digitwin.settings import master_key_bytes

Cli = Callable[..., Awaitable[Result]]


def test_a_key_is_printed_that_can_be_used() -> None:
    printed = CliRunner().invoke(app, ["keys", "generate"]).stdout.strip()
    assert len(master_key_bytes(printed)) == 32
    said = json.loads(CliRunner().invoke(app, ["keys", "generate", "--json"]).stdout)
    assert master_key_bytes(said["master_key"]) != master_key_bytes(printed)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    result = CliRunner().invoke(app, ["keys", "generate", "--file", str(path)])
    assert result.exit_code == 0
    [key] = master_keys.read(path)
    again = CliRunner().invoke(app, ["keys", "generate", "--file", str(path)])
    assert again.exit_code == 1
    assert "exists" in again.stderr
    assert master_keys.read(path) == [key]
    assert os.listdir(path.parent) == ["key"]


async def test_a_rotation_is_counted(
    digitwin_db: Database, digitwin_url: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = os.environ["DIGITWIN_MASTER_KEY"]
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    made = await digitwin_db.voices.create(user_id=ada.id, name="A", checksum="sha256:1")
    monkeypatch.setenv("DIGITWIN_MASTER_KEY", master_keys.generate())
    refused = await cli("keys", "rotate")
    assert refused.exit_code == 1
    assert "DIGITWIN_MASTER_KEYS_RETIRED" in refused.stderr
    monkeypatch.setenv("DIGITWIN_MASTER_KEYS_RETIRED", old)
    said = json.loads((await cli("keys", "rotate", "--json")).stdout)
    assert said == {"rewrapped": 1, "current": 0}
    assert (await cli("keys", "rotate")).exit_code == 0
    [record] = (await digitwin_db.audit.list(action="key.rotate")).items
    assert record.metadata["rewrapped"] == 1
    monkeypatch.delenv("DIGITWIN_MASTER_KEYS_RETIRED")
    async with digitwin.connect(digitwin_url, migrate="skip") as db:
        assert (await db.voices.get(made.id)).checksum == "sha256:1"


async def test_the_embedded_servers_key_is_found_by_its_address_too(tmp_path: Path) -> None:
    async with digitwin.connect(home=tmp_path, embedded="always", master_key=None) as db:
        ada = await db.users.create(email="ada@example.com", name="Ada")
        made = await db.voices.create(user_id=ada.id, name="A", checksum="sha256:1")
        key = (tmp_path / "master.key").read_text()
        url = db._target.url
        async with digitwin.connect(url, home=tmp_path, master_key=None) as other:
            assert (await other.voices.get(made.id)).checksum == "sha256:1"
        async with digitwin.connect(url, home=tmp_path / "else", master_key=None) as other:
            with pytest.raises(digitwin.ConfigurationError) as error:
                await other.voices.get(made.id)
            assert error.value.details["field"] == "master_key"
    assert (tmp_path / "master.key").read_text() == key
