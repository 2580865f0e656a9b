"""Every migration after the first is a list of steps that callers hardly notice.

A step waits for one table while it holds no other, and what takes long takes a lock that stops
nobody. CONTRIBUTING states the rule for whoever writes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from digitwin.kernel.migrations import files, steps
from digitwin.kernel.migrations.files import Migration

LATER = files.all_migrations()[1:]
_BOOKS = {"aerich", "digitwin_schema"}

_NAMED = re.compile(
    r"\b(?:ALTER TABLE|DROP TABLE|TRUNCATE|REFERENCES|UPDATE|DELETE FROM|INSERT INTO"
    r"|(?:TRIGGER|POLICY|INDEX)[^;]*? ON)\s+(?:IF EXISTS\s+)?(?:ONLY\s+)?\"?(\w+)"
)
_CREATED = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?\"?(\w+)")
_LOCKED_FIRST = re.compile(r"^\s*LOCK TABLE \w+[^;]*;\s*LOCK TABLE [^;]+NOWAIT;")
_FORBIDDEN = {
    r"\bCREATE (UNIQUE )?INDEX\b": "builds an index under a lock: CONCURRENTLY, as its own step",
    r"\bDROP INDEX\b": "locks the table out: CONCURRENTLY, as its own step",
    r"\b(CLUSTER|REINDEX|VACUUM FULL)\b": "rewrites a table under a lock",
    r"\bALTER( COLUMN)? \"?\w+\"?( SET DATA)? TYPE\b": "rewrites the table: add a column instead",
    r"\bADD COLUMN (?!IF NOT EXISTS)": "cannot run twice: ADD COLUMN IF NOT EXISTS",
    r"\bADD COLUMN[^,;]+\b(REFERENCES|UNIQUE|CHECK)\b": "checks every row under a lock: NOT VALID",
    r"\bADD COLUMN[^,;]+DEFAULT[^,;]+(random|clock|nextval)": "writes every row under a lock",
    r"\bADD (CONSTRAINT \w+ )?(PRIMARY KEY|UNIQUE) \(": "builds an index under a lock",
    r"\bADD CONSTRAINT (?=(\w+))(?![\s\S]*NOT VALID)(?![\s\S]*USING INDEX)": "NOT VALID is missing",
    r"\bNOT VALID[\s\S]*VALIDATE": "checks every row under a lock: VALIDATE is a step of its own",
    r"\block_timeout\b": "the runner sets it",
}


def faults(step: str) -> Iterator[str]:
    """Return what is wrong with a step."""
    step = re.sub(r"--.*", "", step)
    if steps.is_concurrent(step):
        if ";" in step.strip().rstrip(";"):
            yield "CONCURRENTLY is the only statement of its step"
        if not re.match(
            r"\s*(CREATE (UNIQUE )?INDEX CONCURRENTLY IF NOT|DROP INDEX CONCURRENTLY IF)", step
        ):
            yield "cannot run twice: IF NOT EXISTS or IF EXISTS"
        return
    created = set(_CREATED.findall(step))
    for statement in step.split(";"):
        if not created & set(_NAMED.findall(statement)):
            yield from (why for bad, why in _FORBIDDEN.items() if re.search(bad, statement))
    existing = set(_NAMED.findall(step)) - created - _BOOKS
    if len(existing) > 1 and not _LOCKED_FIRST.match(step):
        yield f"waits for one table while it holds another: {sorted(existing)}"


@pytest.mark.parametrize("migration", LATER, ids=lambda migration: migration.name)
async def test_a_migration_keeps_the_rule(migration: Migration) -> None:
    assert migration.steps, "it has no STEPS"
    assert [(step, fault) for step in migration.steps for fault in faults(step)] == []
    assert "digitwin_schema SET version" in migration.steps[-1]
    assert await migration.upgrade() == steps.in_one_transaction(migration.steps)
    assert hasattr(migration.module, "LOSES")


@pytest.mark.parametrize(
    "step",
    [
        "ALTER TABLE user_emails ADD COLUMN IF NOT EXISTS a int;"
        " ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
        "LOCK TABLE users, user_emails; UPDATE users SET name = name; DELETE FROM user_emails",
        "ALTER TABLE consents ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES users (id) NOT VALID",
        "CREATE INDEX ix_users__a ON users (a)",
        "CREATE INDEX CONCURRENTLY ix_users__a ON users (a)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON users (a); SELECT 1",
        "DROP INDEX ix_users__name",
        "ALTER TABLE users ALTER COLUMN name TYPE text",
        "ALTER TABLE users ADD COLUMN a int",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS a uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE users ADD CONSTRAINT ck_users__a CHECK (a > 0)",
        "ALTER TABLE users ADD CONSTRAINT ck_users__a CHECK (a > 0) NOT VALID,"
        " VALIDATE CONSTRAINT ck_users__a",
        "ALTER TABLE users ADD PRIMARY KEY (id)",
        "SET LOCAL lock_timeout = '5s'",
    ],
)
def test_a_step_that_breaks_the_rule_is_found(step: str) -> None:
    assert list(faults(step))


@pytest.mark.parametrize(
    "step",
    [
        "CREATE TABLE reminders (user_id uuid, CONSTRAINT fk FOREIGN KEY (user_id)"
        " REFERENCES users (id)); CREATE INDEX ix_reminders__id ON reminders (id)",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS a int DEFAULT 0",
        "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;"
        " LOCK TABLE consents IN SHARE ROW EXCLUSIVE MODE NOWAIT;"
        " ALTER TABLE consents ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES users (id) NOT VALID",
        "ALTER TABLE users VALIDATE CONSTRAINT ck_users__a",
    ],
)
def test_a_step_that_keeps_the_rule_passes(step: str) -> None:
    assert list(faults(step)) == []
