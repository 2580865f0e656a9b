"""`verify` finds a guard of the database that is not as the migrations made it."""

from __future__ import annotations

import asyncpg
import pytest

from digitwin.database import Database

GUARD = "CREATE OR REPLACE FUNCTION digitwin_guard() RETURNS trigger LANGUAGE plpgsql AS "
HARMLESS = "$guard$ BEGIN RETURN OLD; END $guard$"


async def details(db: Database) -> list[str]:
    return [fault.detail for fault in (await db.audit.verify()).faults if fault.kind == "guard"]


async def test_as_the_migrations_made_them_they_are_in_order(digitwin_db: Database) -> None:
    seen = await digitwin_db.audit.verify()
    assert seen.ok, seen.faults


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (f"{GUARD} {HARMLESS}", "the function digitwin_guard was replaced"),
        (
            "ALTER FUNCTION digitwin_guard() RESET search_path",
            "the function digitwin_guard has no fixed search path",
        ),
        (
            "ALTER FUNCTION digitwin_leaf_guard() SECURITY DEFINER",
            "the function digitwin_leaf_guard was replaced",
        ),
        (
            "ALTER FUNCTION digitwin_is_erased(uuid, bigint) RENAME TO other",
            "the function digitwin_is_erased is missing",
        ),
        (
            "ALTER TABLE users DISABLE TRIGGER users_guard",
            "the trigger users_guard of users is disabled",
        ),
        (
            "ALTER TABLE users ENABLE REPLICA TRIGGER users_guard",
            "the trigger users_guard of users is disabled",
        ),
        (
            "DROP TRIGGER audit_seals_guard_truncate ON audit_seals",
            "the trigger audit_seals_guard_truncate of audit_seals is missing",
        ),
        (
            "CREATE OR REPLACE TRIGGER users_guard BEFORE DELETE ON users FOR EACH ROW"
            " WHEN (OLD.name = 'x') EXECUTE FUNCTION digitwin_guard()",
            "the trigger users_guard of users was replaced",
        ),
        (
            "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.digitwin_guard() RETURNS trigger"
            f" LANGUAGE plpgsql AS {HARMLESS};"
            " CREATE OR REPLACE TRIGGER users_guard BEFORE DELETE ON users FOR EACH ROW"
            " EXECUTE FUNCTION elsewhere.digitwin_guard()",
            "the trigger users_guard of users was replaced",
        ),
        (
            "CREATE SCHEMA elsewhere;"
            " ALTER FUNCTION digitwin_guard() SET search_path = elsewhere, public, pg_temp",
            "the function digitwin_guard has no fixed search path",
        ),
        (
            "ALTER FUNCTION digitwin_guard() SET digitwin.allow_hard_delete = 'on, pg_temp'",
            "the function digitwin_guard has no fixed search path",
        ),
        (
            "ALTER FUNCTION digitwin_is_erased(uuid, bigint) IMMUTABLE",
            "the function digitwin_is_erased was replaced",
        ),
        (
            "CREATE TRIGGER first BEFORE INSERT ON audit_logs FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "the trigger first of audit_logs is not of this package",
        ),
        (
            "CREATE RULE dropped AS ON INSERT TO audit_leaves DO INSTEAD NOTHING",
            "the rule dropped of audit_leaves is not of this package",
        ),
        (
            "ALTER TABLE voice_models DROP CONSTRAINT ck_voice_models__artifact_uri,"
            " ADD CONSTRAINT ck_voice_models__artifact_uri CHECK (true)",
            "the constraint ck_voice_models__artifact_uri is missing, or not valid",
        ),
        (
            "DELETE FROM digitwin_schema",
            "the schema's version is not recorded",
        ),
        (
            "ALTER TABLE voice_models DROP CONSTRAINT ck_voice_models__artifact_uri",
            "the constraint ck_voice_models__artifact_uri is missing, or not valid",
        ),
        (
            "ALTER TABLE audit_logs DROP CONSTRAINT ck_audit_logs__result",
            "the constraint ck_audit_logs__result is missing, or not valid",
        ),
    ],
)
async def test_a_guard_that_was_changed_is_named(
    digitwin_db: Database, raw: asyncpg.Connection, change: str, told: str
) -> None:
    await raw.execute(change)
    assert await details(digitwin_db) == [told]


async def test_a_schema_newer_than_this_package_is_not_judged(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    await raw.execute("UPDATE digitwin_schema SET version = version + 1")
    await raw.execute("DROP TRIGGER users_guard ON users")
    assert await details(digitwin_db) == []
    notices = (await digitwin_db.audit.verify()).notices
    assert any("guards were not compared" in notice for notice in notices)
