"""What the documents say is there, is there."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from digitwin.cli.app import app
from digitwin.settings import Settings
from tests.support import checkout
from tests.support.checkout import read

ROOT = checkout.root()
FOLDERS = ("digitwin", "tests", "benchmarks", "docs", "examples", "aerich_migrations")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
)
UNITS = {"s": 1, "day": 86_400, "days": 86_400}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_is_there(name: str) -> None:
    """By its path, in the repository or in the package, or by the end of its path."""
    named = set(re.findall(r"`([\w./-]+\.(?:py|sql|md|txt|toml))`", read(name)))
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")}
    files |= set(ROOT.glob("*.*"))
    there = {f"/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert [file for file in named if not any(p.endswith(f"/{file}") for p in there)] == []


def test_every_place_of_the_readmes_map_is_there() -> None:
    found = re.search(r"## Where everything is\n(.*?)\n## ", read("README.md"), re.DOTALL)
    assert found is not None
    places = [
        place
        for row in re.findall(r"^\| (`.*?) \|", found[1], re.MULTILINE)
        for place in re.findall(r"`(.*?)`", row)
    ]
    assert len(places) > 10
    assert [p for p in places if not any((f / p).exists() for f in (ROOT, ROOT / "digitwin"))] == []


@pytest.mark.parametrize("document", ["docs/guarantees.md", "docs/compliance.md"])
def test_every_promise_names_a_test_that_exists(document: str) -> None:
    path = ""
    missing = []
    for mention in re.findall(r"`((?:tests/[\w/]+\.py)?(?:::test_\w+)?)`", read(document)):
        file, _, test = mention.partition("::")
        path = file or path
        source = ROOT / path
        if not source.exists() or (test and not re.search(rf"def {test}\(", source.read_text())):
            missing.append(f"{path}::{test}")
    assert path
    assert missing == []


def test_every_table_has_its_place_in_the_architecture() -> None:
    tables = re.findall(r"^table (\w+)", read("tests/migrations/schema.txt"), re.MULTILINE)
    assert len(tables) > 15
    text = read("docs/architecture.md")
    assert [table for table in tables if not re.search(rf"\b{table}\b", text)] == []
    drawn = re.search(r"```mermaid\nerDiagram\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    ends = re.findall(r"^ +(\w+) \S+ (\w+) :", drawn[1], re.MULTILINE)
    assert len(ends) > 5
    assert {table for end in ends for table in end} - set(tables) == set()


def variable_of(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return str(alias or f"DIGITWIN_{field.upper()}")


def as_an_argument(field: str) -> str:
    return "schema" if field == "schema_name" else field


def test_every_setting_is_in_the_example() -> None:
    text = read(".env.example")
    variables = [variable_of(field) for field in Settings.model_fields]
    assert [name for name in variables if name not in text] == []


def test_the_example_is_a_file_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^#?([A-Z_]+=.*)$", read(".env.example"), re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(lines), "utf-8")
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_of(field), raising=False)
    given = Settings()
    assert given.url is not None
    assert given.policies
    assert given.maintenance_interval == 3600


def in_the_table(field: str) -> str:
    """The default that SETUP's table tells for a setting."""
    row = re.search(
        rf"^\| `{as_an_argument(field)}` (?:\(`\w+`\) )?\| (.*?) \|", read("SETUP.md"), re.MULTILINE
    )
    assert row is not None, f"{field} has no row"
    return row[1].strip("`")


SHARES = {"cache_ttl_jitter"}
"""Settings that are a part of something, and no time."""


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_explained_with_its_default(field: str) -> None:
    told, default = in_the_table(field), Settings.model_fields[field].default
    if default in (None, ()):
        assert told == "none"
    elif isinstance(default, float) and field not in SHARES:
        number, unit = told.split()
        assert timedelta(seconds=float(number) * UNITS[unit]).total_seconds() == default
    else:
        assert told == str(default)


def commands_in(name: str) -> list[tuple[str, str]]:
    """The first two words behind ``digitwin``, in the text and in blocks of commands."""
    text = read(name)
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    inline = "\n".join(re.findall(r"`(digitwin [^`]+)`", text))
    return re.findall(r"^digitwin (\w+)(?: ([\w|]+))?", f"{blocks}\n{inline}", re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_is_one(name: str) -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    wrong = []
    for first, rest in commands_in(name):
        if first in groups:
            inner = {command.name for command in groups[first].registered_commands}
            wrong += [f"{first} {word}" for word in rest.split("|") if word not in inner]
        elif first not in commands:
            wrong.append(first)
    assert wrong == []


def test_every_command_is_named() -> None:
    """Those of the README, and the one for contributors in CONTRIBUTING."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    commands = {f"{command.name}" for command in app.registered_commands}
    commands |= {f"{g} {command.name}" for g in groups for command in groups[g].registered_commands}
    told = commands_in("README.md") + commands_in("CONTRIBUTING.md")
    named = {first for first, _ in told if first not in groups}
    named |= {f"{first} {word}" for first, rest in told for word in rest.split("|")}
    assert commands - named == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_is_one(name: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    asked = set(re.findall(r"`make ([\w-]+)", read(name)))
    assert asked - targets == set()
