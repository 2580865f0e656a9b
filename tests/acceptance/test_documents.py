"""What the documents say is there, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from digitwin.cli.app import app
from digitwin.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_promise_names_a_test_that_exists() -> None:
    path = ""
    missing = []
    for mention in re.findall(
        r"`((?:tests/[\w/]+\.py)?(?:::test_\w+)?)`", read("docs/guarantees.md")
    ):
        file, _, test = mention.partition("::")
        path = file or path
        source = ROOT / path
        if not source.exists() or (test and not re.search(rf"def {test}\(", source.read_text())):
            missing.append(f"{path}::{test}")
    assert path
    assert missing == []


@pytest.mark.parametrize("name", ["SETUP.md", ".env.example"])
def test_every_setting_is_explained(name: str) -> None:
    text = read(name)
    known = {"url": "DATABASE_URL", "database_url": "DATABASE_URL", "schema_name": "schema"}
    shown = [known.get(field, field) for field in Settings.model_fields]
    assert [field for field in shown if field not in text and field.upper() not in text] == []


@pytest.mark.parametrize("name", ["README.md", "SETUP.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_command_is_one(name: str) -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    wrong = []
    for first, rest in re.findall(r"`digitwin (\w+)(?: ([\w|]+))?", read(name)):
        if first in groups:
            inner = {command.name for command in groups[first].registered_commands}
            wrong += [f"{first} {word}" for word in rest.split("|") if word not in inner]
        elif first not in commands:
            wrong.append(first)
    assert wrong == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_is_one(name: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    asked = set(re.findall(r"`make ([\w-]+)", read(name)))
    assert asked - targets == set()
