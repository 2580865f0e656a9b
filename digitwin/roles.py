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

import asyncpg

import digitwin.models  # noqa: F401 - completes the registry of tables
from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.scopes import (
    APPLICATION,
    OWNER,
    PERSON,
    READ_ONLY,
    RETENTION,
    ROLES,
    SERVICE,
)
from digitwin.kernel.sql.tables import TABLES, Table

_PERSON_POLICY = "digitwin_person"
_ME = f"nullif(current_setting('{PERSON}', true), '')::uuid"
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
_PARTITIONS = """DO $partitions$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('{table}') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {owner}', part);
        EXECUTE format('REVOKE ALL ON %s FROM {others}', part);
    END LOOP;
END
$partitions$"""
_FUNCTIONS = """DO $functions$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN SELECT oid FROM pg_proc
                    WHERE pronamespace = current_schema()::regnamespace
                      AND starts_with(proname, 'digitwin_') LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO {owner}', function);
    END LOOP;
END
$functions$"""

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
        *(sql for table in TABLES.values() for sql in _of_table(table)),
        _FUNCTIONS.format(owner=OWNER),
        *(sql for login in logins for sql in _login(login)),
    ]


def _of_table(table: Table) -> list[str]:
    """Owner, policies and privileges of a table, its partitions and its sequences."""
    name, rights = table.name, table.rights
    others = ", ".join(role for role in ROLES if role != rights.owner)
    return [
        f"ALTER TABLE {name} OWNER TO {rights.owner}",
        *(
            [_PARTITIONS.format(table=name, owner=rights.owner, others=others)]
            * table.is_partitioned
        ),
        *(_policies(table) if rights.row_security else ()),
        f"REVOKE ALL ON {name} FROM {others}",
        *(f"GRANT {privileges} ON {name} TO {role}" for role, privileges in rights.granted.items()),
        *(sql for sequence in table.sequences for sql in _of_sequence(sequence, rights.owner)),
    ]


def _policies(table: Table) -> list[str]:
    name, mine = table.name, f"{table.person} = {_ME}"
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        *_policy(name, _PERSON_POLICY, f"TO {APPLICATION} USING ({mine})"),
        *_policy(name, "digitwin_across", f"TO {SERVICE} USING (current_user = '{SERVICE}')"),
        *_policy(name, "digitwin_reads", f"FOR SELECT TO {READ_ONLY} USING (true)"),
        *_policy(name, "digitwin_forgets", f"TO {RETENTION} USING (true)"),
    ]


def _of_sequence(sequence: str, owner: str) -> Sequence[str]:
    return (
        f"ALTER SEQUENCE {sequence} OWNER TO {owner}",
        f"GRANT USAGE ON SEQUENCE {sequence} TO {APPLICATION}, {SERVICE}",
    )


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
    secured = {name for name, table in TABLES.items() if table.rights.row_security}
    complete = {f"{name}.{_PERSON_POLICY}" for name in secured} <= set(policies)
    if privileged and not complete:
        await apply(connection, schema)
    return privileged or complete
