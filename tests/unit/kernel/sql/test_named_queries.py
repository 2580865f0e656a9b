"""Named statements are found by name, and a careless file does not load."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from digitwin.kernel.sql.queries import load, parse

TWO = """\
-- What every statement here has in common.

-- name: first
-- Because it must be one statement.
SELECT 1
-- within a statement a comment stays
  + 1;

-- name: second
-- A reason may
-- take two lines.
SELECT 2
"""


def test_statements_come_without_name_and_reason() -> None:
    assert parse(TWO) == {
        "first": "SELECT 1\n-- within a statement a comment stays\n  + 1",
        "second": "SELECT 2",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TWO + TWO, "'first' is defined twice"),
        ("-- name: bare\nSELECT 1", "'bare' has no reason"),
        ("-- name: mute\n--\nSELECT 1", "'mute' has no reason"),
        ("-- name: hollow\n-- Nothing follows.\n", "'hollow' is empty"),
        ("-- name: two words\n-- Why.\nSELECT 1", "'two words' is not a valid statement name"),
        ("-- name:\n-- Why.\nSELECT 1", "'' is not a valid statement name"),
    ],
)
def test_a_careless_file_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "a_domain_of_its_own"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "queries.sql").write_text(TWO, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, folder.name, raising=False)
    return folder.name


def test_a_package_finds_its_own_file_and_reads_it_once(package: str, tmp_path: Path) -> None:
    queries = load(package)
    (tmp_path / package / "queries.sql").unlink()
    assert load(package) is queries
    assert queries["second"] == "SELECT 2"


def test_loaded_statements_cannot_be_replaced(package: str) -> None:
    with pytest.raises(TypeError):
        load(package)["first"] = "DROP"  # type: ignore[index]
