"""Roles of the database and what each may do: least privilege, and row security by person.

``digitwin_owner`` owns the tables, ``digitwin_app`` serves one person at a time,
``digitwin_service`` works across people, ``digitwin_readonly`` reads, ``digitwin_audit`` reads
the trail, and ``digitwin_retention`` forgets what is past its time: the trail is its own, for
whoever drops a month must own it. None of them can log in: a login is a member.

A migration makes none of it. Row security shuts out every login that is no member, so it is
switched on by a step of its own, ``digitwin db roles``, once logins are members. Every
statement can be run again, and is after each migration, for the tables that are new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.scopes import APPLICATION, PERSON, RETENTION, SERVICE

OWNER: Final = "digitwin_owner"
READ_ONLY: Final = "digitwin_readonly"
AUDIT: Final = "digitwin_audit"
ROLES: Final = (OWNER, APPLICATION, SERVICE, READ_ONLY, AUDIT, RETENTION)

PERSONAL: Final = {
    "users": "id",
    "user_emails": "user_id",
    "voice_models": "user_id",
    "face_models": "user_id",
    "participants": "user_id",
    "conversation_sessions": "user_id",
    "conversation_turns": "user_id",
    "knowledge_documents": "user_id",
    "consents": "user_id",
    "deletions": "user_id",
}
"""Tables of personal data, and the column that says whose: they are under row security."""

SEALS: Final = ("audit_seals", "audit_leaves", "audit_checkpoints")
TRAIL: Final = ("audit_logs", *SEALS)
"""Only ever added to, but for ``digitwin_retention``, whose they are."""

SHARED: Final = (
    *("embedding_cache", "vector_search_cache", "llm_response_cache"),
    *("cache_invalidations", "cache_usage", "rate_limits", "rate_limit_usage"),
)
"""Cache and limits: who may see an entry is part of its key, and they are asked without a scope."""

KEYS: Final = ("user_keys",)
"""Wrapped keys: whoever serves a person needs theirs, before the scope is known."""

ERASURES: Final = ("erasures", "artifact_deletions")
"""Who is gone, which whoever stores must see, and what of theirs is still to be deleted."""

BOOKS: Final = ("digitwin_schema", "aerich")
"""What every start reads."""

SEQUENCES: Final = ("cache_epoch_seq",)
FUNCTIONS: Final = (
    "digitwin_guard()",
    "digitwin_leaf_guard()",
    "digitwin_guard_email()",
    "digitwin_note_deletion()",
    "digitwin_is_erased(uuid, bigint)",
)

_ME = f"nullif(current_setting('{PERSON}', true), '')::uuid"
_ALL_ROWS = "SELECT, INSERT, UPDATE, DELETE"
_MAKE = """DO $roles$
BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the server: another database, or another start, has made it
END
$roles$"""
_TAKES_ON = """DO $member$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT {role} TO CURRENT_USER;  -- from 16 on, who makes a role may not yet take it on
    END IF;
END
$member$"""
_BELONGS = """DO $member$
BEGIN
    IF NOT pg_has_role('{member}', '{role}', 'MEMBER') THEN
        GRANT {role} TO {member};
    END IF;
EXCEPTION WHEN unique_violation THEN
    NULL;
END
$member$"""
_WHO_MIGRATES = """DO $owner$
DECLARE
    login name := (SELECT rolname FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
                   WHERE pg_class.oid = to_regclass('users'));
BEGIN
    IF NOT pg_has_role(login, '{role}', 'MEMBER') THEN
        EXECUTE format('GRANT {role} TO %I', login);
    END IF;
END
$owner$"""
"""Whoever has migrated so far goes on: the tables' owner becomes a member of their new one."""
_MONTHS_TOO = """DO $months$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('{table}') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {role}', part);
        EXECUTE format('REVOKE ALL ON %s FROM {others}', part);
    END LOOP;
END
$months$"""

_STANDING = """
SELECT rolsuper, ARRAY(SELECT tablename || '.' || policyname FROM pg_policies
                       WHERE schemaname = current_schema())
FROM pg_roles WHERE rolname = current_user
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('digitwin.roles', 0))"


def statements(schema: str = "public", logins: Iterable[str] = ()) -> list[str]:
    """What makes the roles and gives them their rights, in order, each repeatable.

    Args:
        schema: where the tables are.
        logins: existing logins of services, which become members of what a service needs.

    Raises:
        InvalidInputError: a login's name is none that this writes into a statement.
    """
    return [
        *(_MAKE.format(role=role) for role in ROLES),
        *(_TAKES_ON.format(role=role) for role in (OWNER, RETENTION, APPLICATION, SERVICE)),
        _BELONGS.format(role=RETENTION, member=OWNER),
        _WHO_MIGRATES.format(role=OWNER),
        f'GRANT USAGE ON SCHEMA "{schema}" TO {", ".join(ROLES)}',
        f'GRANT CREATE ON SCHEMA "{schema}" TO {OWNER}, {RETENTION}',
        *_personal(),
        *_trail(),
        *_shared(),
        *(sql for login in logins for sql in _login(login)),
    ]


def _personal() -> list[str]:
    made = []
    for table, column in PERSONAL.items():
        mine = f"{column} = {_ME}"
        made += [
            f"ALTER TABLE {table} OWNER TO {OWNER}",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            *_policy(table, "digitwin_person", f"TO {APPLICATION} USING ({mine})"),
            *_policy(table, "digitwin_across", f"TO {SERVICE} USING (current_user = '{SERVICE}')"),
            *_policy(table, "digitwin_reads", f"FOR SELECT TO {READ_ONLY} USING (true)"),
            *_policy(table, "digitwin_forgets", f"TO {RETENTION} USING (true)"),
        ]
    tables = ", ".join(PERSONAL)
    return [
        *made,
        f"GRANT {_ALL_ROWS} ON {tables} TO {APPLICATION}, {SERVICE}",
        f"GRANT SELECT ON {tables} TO {READ_ONLY}",
        f"GRANT SELECT, UPDATE, DELETE ON {tables} TO {RETENTION}",
    ]


def _trail() -> list[str]:
    others = ", ".join(role for role in ROLES if role != RETENTION)
    made = [_MONTHS_TOO.format(table="audit_logs", role=RETENTION, others=others)]
    for table in SEALS:
        made += [
            f"ALTER TABLE {table} OWNER TO {RETENTION}",
            f"REVOKE ALL ON {table} FROM {others}",
        ]
    tables = ", ".join(TRAIL)
    return [
        *made,
        f"GRANT INSERT ON audit_logs TO {APPLICATION}",
        f"GRANT INSERT ON {tables} TO {SERVICE}",
        f"GRANT SELECT ON {tables} TO {AUDIT}, {SERVICE}",
    ]


def _shared() -> list[str]:
    tables, sequences = ", ".join(SHARED), ", ".join(SEQUENCES)
    owned = (*SHARED, *KEYS, *ERASURES, *BOOKS)
    return [
        *(f"ALTER TABLE {table} OWNER TO {OWNER}" for table in owned),
        *(f"ALTER SEQUENCE {sequence} OWNER TO {OWNER}" for sequence in SEQUENCES),
        *(f"ALTER FUNCTION {function} OWNER TO {OWNER}" for function in FUNCTIONS),
        f"GRANT {_ALL_ROWS} ON {tables} TO {APPLICATION}, {SERVICE}",
        f"GRANT SELECT, UPDATE, DELETE ON {tables} TO {RETENTION}",
        f"GRANT {_ALL_ROWS} ON {', '.join(KEYS)} TO {APPLICATION}, {SERVICE}",
        f"GRANT SELECT, UPDATE, DELETE ON {', '.join(KEYS)} TO {RETENTION}",
        f"GRANT {_ALL_ROWS} ON {', '.join(ERASURES)} TO {SERVICE}, {RETENTION}",
        f"GRANT SELECT ON erasures TO {APPLICATION}",
        f"GRANT INSERT ON artifact_deletions TO {APPLICATION}",
        f"GRANT USAGE ON SEQUENCE {sequences} TO {APPLICATION}, {SERVICE}",
        f"GRANT SELECT ON {', '.join(BOOKS)} TO {', '.join(ROLES)}",
    ]


def _policy(table: str, name: str, terms: str) -> Sequence[str]:
    return f"DROP POLICY IF EXISTS {name} ON {table}", f"CREATE POLICY {name} ON {table} {terms}"


def _login(name: str) -> list[str]:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
        raise InvalidInputError("login must be letters, digits and underscores", field="login")
    return [f'GRANT {APPLICATION}, {SERVICE} TO "{name}"']


async def apply(
    connection: asyncpg.Connection, schema: str = "public", logins: Iterable[str] = ()
) -> None:
    """Run :func:`statements` on a connection to the schema, all or none, one caller at a time.

    Raises:
        InvalidInputError: a login's name does not fit.
        ConfigurationError: whoever logged in may not do this, or a login does not exist.
    """
    given = statements(schema, logins)
    try:
        async with connection.transaction():
            await connection.execute(_ONE_AT_A_TIME)
            for statement in given:
                await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as fault:
        raise ConfigurationError(
            f"Making roles takes a superuser, or CREATEROLE and the tables' owner ({fault}):"
            " hand what `digitwin db roles` prints to the administrator",
            field="role",
        ) from fault
    except asyncpg.UndefinedObjectError as fault:
        raise ConfigurationError(f"Create the login first: {fault}", field="login") from fault
    except driver_errors.DRIVER as fault:
        raise driver_errors.translate(fault) or fault from fault


async def ensure(connection: asyncpg.Connection, schema: str = "public") -> bool:
    """Make up for roles and policies that are missing, where a superuser is at work.

    Gives whether all is there now.
    """
    privileged, policies = await connection.fetchrow(_STANDING)
    complete = {f"{table}.digitwin_person" for table in PERSONAL} <= set(policies)
    if privileged and not complete:
        await apply(connection, schema)
    return privileged or complete
