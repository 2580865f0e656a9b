"""No statement of the package reads past a deletion by mistake."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import digitwin
from digitwin.kernel.sql.queries import parse
from tests.support.tables import TABLES

PACKAGE = Path(digitwin.__file__).parent

HIDES = "|".join(
    name for name, table in TABLES.items() if table.can_be_hidden and name != "consents"
)
"""Consents are asked for whether or not the person is deleted: a withdrawal still holds."""
TOUCHES = re.compile(rf'\b(?:FROM|JOIN|UPDATE|INTO)\s+"?(?:{HIDES})(?!\w)')
CONDITIONS = re.compile(r"deleted_at|\{ALIVE\}")

EXCEPTIONS = {
    "users/create": "a new row; an address or an id is taken, deleted or not",
    "users/create_many": "as create",
    "users/hold_owner": "locks the owner, deleted or not, before what is theirs",
    "users/holder": "an id is taken, deleted or not",
    "users/hold": "locks a person who is removed, deleted or not",
    "users/hold_participants": "the same",
    "users/remove_user": "asks for what one deletion hid, by its id",
    "conversations/tables.py": "an export holds the deleted too",
    "knowledge/queries.py": "finds an owner; the statements around it check the row",
    "likeness/hold_removed": "locks a model that is removed, deleted or not",
    "keys/removed": "asks who is there at all, deleted or not",
    "kernel/sql/queries.py": "an example in the docstring",
    "kernel/sql/crud.py": "locks the owner, deleted or not, before what is theirs",
    "repository/lock_activation": "a lock; the statements that follow check that the row is alive",
    "living/opened": "follows a step that finds the session, which is not deleted",
    "living/extended": "the same",
    "living/items": "the same",
    "living/usage": "the same",
    "living/sources": "the same",
    "living/alive": "part of statements that name the session, which is not deleted",
    "living/turn_standing": "follows a write that has found the session",
    "living/turns_now": "the same",
    "content/items_of_turn": "the step the_turn asks whether the session is alive",
    "content/owner": "an id finds its owner; each statement asks whether it is alive",
    "content/sources": "the step the_turn asks whether the session is alive",
    "content/stored_items": "follows a write that has found the session",
    "content/turn_owner": "an id finds its owner; each statement asks whether it is alive",
    "latest/turns_items": "part of statements that name the session, which is not deleted",
    "latest/all_turns": "the same",
    "latest/own_turns": "the same",
    "latest/other_turns": "the same",
    "latest/repeated": "the same",
    "artifacts/add": "hold_session locks the session, which is alive",
    "artifacts/turn_is_there": "the same",
    "artifacts/speaker_was_erased": "the same",
    "artifacts/remove": "hold locks the row, whose session is alive",
    "artifacts/owner": "an id finds its owner; the statement asks whether it is alive",
    "conversations/owner": "an id finds its owner; each statement asks whether it is alive",
    "living/first_retold": "part of statements that name the session, which is not deleted",
    "living/unindexed": "follows a step that finds the session, which is not deleted",
    "listing/overviews": "around a page of sessions, which are not deleted",
    "search/fresh": "the step unsettled tells which sessions are deleted",
    "search/search": "the same",
    "search/index": "next_sessions locks the sessions, which are not deleted",
    "transcripts/speakers": "the statements around it lock the owner, who is not deleted",
    "transcripts/known_speakers": "the same",
    "memories/find": "the part held asks whether the person is alive",
    "memories/refresh": "the same",
    "memories/search": "the same",
    "memories/rank": "the same",
    "memories/namespaces": "the same",
    "memories/purge": "what has expired is removed, whoever's it is",
    "knowledge/finish": "while_leased asks whether the document is alive",
    "knowledge/renew": "the same",
    "conversations/models.py": "part of a filter of sessions, whose statement asks",
    "conversations/transcripts/storing.py": "a citation of a deleted document stays one",
}
"""Statements that say nothing about deletion, and why they need not."""

DOMAINS = {"privacy": "export and erasure take what is held about somebody, deleted or not"}
"""Whole domains that ask for the deleted too, and why."""

NEVER = re.compile(r"\.raw\(|(?<!\w)QuerySet\(|Prefetch\(")
"""Ways around the managers of our models."""


def statements() -> Iterator[tuple[str, str]]:
    """Every named statement, and every piece of SQL within the code, with where it stands."""
    for file in sorted(PACKAGE.rglob("queries.sql")):
        for name, sql in parse(file.read_text("utf-8")).items():
            table = "voice_models" if file.parent.name == "likeness" else "{table}"
            yield f"{file.parent.name}/{name}", sql.replace("{table}", table)
    for file in sorted(PACKAGE.rglob("*.py")):
        for text in _strings(ast.parse(file.read_text("utf-8"))):
            yield str(file.relative_to(PACKAGE)), text


def _strings(tree: ast.AST) -> Iterator[str]:
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for text in formatted for part in text.values}
    yield from ("".join(map(_part, text.values)) for text in formatted)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return f"{{{ast.unparse(part.value)}}}"
    assert isinstance(part, ast.Constant)
    return str(part.value)


TOUCHING = [
    (name, sql)
    for name, sql in statements()
    if TOUCHES.search(sql) and name.partition("/")[0] not in DOMAINS
]


def test_statements_are_found() -> None:
    assert len(TOUCHING) > 25


@pytest.mark.parametrize(("name", "sql"), TOUCHING, ids=[name for name, _ in TOUCHING])
def test_a_statement_says_what_it_does_about_the_deleted(name: str, sql: str) -> None:
    assert CONDITIONS.search(sql) or name in EXCEPTIONS


def test_an_exception_is_one() -> None:
    silent = {name for name, sql in TOUCHING if not CONDITIONS.search(sql)}
    assert set(EXCEPTIONS) <= silent


def test_nothing_goes_around_the_managers() -> None:
    found = {
        f"{file.relative_to(PACKAGE)}: {line.strip()}"
        for file in PACKAGE.rglob("*.py")
        for line in file.read_text("utf-8").splitlines()
        if NEVER.search(line)
    }
    assert found == set()
