"""Compares the database's guards with what this package's migrations make.

Functions, triggers and the names of CHECKs are read from the migrations' own SQL, so that nothing
is written twice. A migration that is newer than this package is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from digitwin.kernel.execution.core import Core
from digitwin.kernel.migrations import files
from digitwin.kernel.sql.queries import Queries

QUERIES = Queries(__package__)

_OBJECT = re.compile(
    r"CREATE (?:OR REPLACE )?FUNCTION (?P<function>digitwin_\w+)\(.*?AS (?P<tag>\$\w*\$)"
    r"(?P<body>.*?)(?P=tag)"
    r"|CREATE TRIGGER (?P<trigger>\w+)\s+BEFORE (?P<events>[A-Z ]+?) ON (?P<on>\w+)\s+"
    r"FOR EACH (?P<level>ROW|STATEMENT) EXECUTE FUNCTION (?P<calls>\w+)\(\)"
    r"|DROP FUNCTION (?:IF EXISTS )?(?P<no_function>digitwin_\w+)"
    r"|DROP TRIGGER (?:IF EXISTS )?(?P<no_trigger>\w+) ON (?P<no_on>\w+)"
    r"|DROP TABLE (?:IF EXISTS )?(?P<no_tables>\w+(?:, *\w+)*)"
    r"|DROP CONSTRAINT (?:IF EXISTS )?(?P<no_check>ck_\w+)"
    r"|CONSTRAINT (?P<check>ck_\w+)\s+CHECK",
    re.DOTALL,
)
_FIXED_PATH = re.compile(r"ALTER FUNCTION \S+ SET search_path = ")
_EVENTS: Final = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
"""Bits of ``pg_trigger.tgtype``; 1 is FOR EACH ROW, 2 is BEFORE."""


@dataclass(slots=True)
class Guards:
    """Bodies of functions, triggers by table and name, and names of CHECKs."""

    functions: dict[str, str] = field(default_factory=dict)
    triggers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Each with its type, as the catalog has it, and the function it calls."""
    checks: set[str] = field(default_factory=set)
    have_fixed_paths: bool = False
    """Whether functions have a search path of their own."""

    def apply(self, sql: str) -> None:
        """Follow what a migration creates and drops."""
        self.have_fixed_paths |= _FIXED_PATH.search(sql) is not None
        for match in _OBJECT.finditer(sql):
            found = match.groupdict()
            if found["function"]:
                self.functions[found["function"]] = found["body"]
            elif found["trigger"]:
                kind = 2 + (found["level"] == "ROW")
                kind += sum(_EVENTS[event] for event in found["events"].split(" OR "))
                self.triggers[found["on"], found["trigger"]] = kind, found["calls"]
            elif found["check"]:
                self.checks.add(found["check"])
            else:
                self._drop(found)

    def _drop(self, found: Mapping[str, str | None]) -> None:
        self.functions.pop(found["no_function"] or "", None)
        self.triggers.pop((found["no_on"] or "", found["no_trigger"] or ""), None)
        self.checks.discard(found["no_check"] or "")
        for table in (found["no_tables"] or "").replace(" ", "").split(","):
            self.checks -= {check for check in self.checks if check.startswith(f"ck_{table}__")}
            for key in [key for key in self.triggers if key[0] == table]:
                del self.triggers[key]


def known_version() -> int:
    """Return the version of the schema after all migrations of this package."""
    return len(files.all_migrations())


async def expected(version: int) -> Guards:
    """Return the guards of a schema after so many migrations."""
    guards = Guards()
    for migration in files.all_migrations()[:version]:
        guards.apply(await migration.upgrade())
    return guards


async def differences(core: Core, version: int) -> list[str]:
    """Return how the database's guards differ from those that so many migrations make."""
    guards = await expected(version)
    functions = await core.db.fetch(QUERIES["guard_functions"])
    triggers = await core.db.fetch(QUERIES["guard_triggers"])
    rules = await core.db.fetch(QUERIES["rules"])
    checks = await core.db.fetch(QUERIES["checks"])
    return [
        *_of_functions(guards, functions),
        *_of_triggers(guards, triggers),
        *(f"the rule {row['name']} of {row['table']} is not of this package" for row in rules),
        *_of_checks(guards, checks),
    ]


def _of_functions(guards: Guards, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    stored = {row["name"]: row for row in rows}
    for name, body in guards.functions.items():
        row = stored.get(name)
        if row is None:
            yield f"the function {name} is missing"
        elif row["body"] != body or not row["is_ours"]:
            yield f"the function {name} was replaced"
        elif guards.have_fixed_paths and not row["is_fixed"]:
            yield f"the function {name} has no fixed search path"


def _of_triggers(guards: Guards, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    stored = {(row["table"], row["name"]): row for row in rows}
    for (table, name), wanted in guards.triggers.items():
        row = stored.get((table, name))
        if row is None:
            yield f"the trigger {name} of {table} is missing"
        elif not row["is_enabled"]:
            yield f"the trigger {name} of {table} is disabled"
        elif (row["type"], row["function"]) != wanted or row["is_conditional"]:
            yield f"the trigger {name} of {table} was replaced"
    for (table, name), row in stored.items():
        is_before = row["type"] & 2  # it can change or drop what is recorded
        is_ours = (table, name) in guards.triggers or row["is_inherited"]
        if table.startswith("audit_") and is_before and not is_ours:
            yield f"the trigger {name} of {table} is not of this package"


def _of_checks(guards: Guards, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    stored = {row["name"] for row in rows if row["is_valid"]}
    for name in sorted(guards.checks - stored):
        yield f"the constraint {name} is missing, or not valid"
