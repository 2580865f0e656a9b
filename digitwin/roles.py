"""Database roles and their privileges: least privilege, and row security by person.

``digitwin_owner`` owns the tables, ``digitwin_app`` serves one person at a time,
``digitwin_service`` works across people, ``digitwin_readonly`` reads, ``digitwin_audit`` reads
the audit trail, and ``digitwin_retention`` applies retention; it owns the trail, because only the
owner can drop a partition. None of them can log in: logins are members.

Migrations do not create them. Row security hides all rows from logins that are not members, so it
is enabled by a separate step, ``digitwin db roles``, once logins are members. Every statement is
idempotent, and runs again after each migration to cover new tables.
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
from digitwin.kernel.migrations import applying
from digitwin.kernel.sql.tables import TABLES, Table

_PERSON_POLICY = "digitwin_person"
_ME = f"nullif(current_setting('{PERSON}', true), '')::uuid"
_CREATE = """DO $roles$
BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the server: another database or process created it
END
$roles$"""
_GRANT_TO_CREATOR = """DO $member$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT {role} TO CURRENT_USER;  -- since 16, the creator of a role must be granted SET
    END IF;
END
$member$"""
_GRANT_ROLE = """DO $member$
BEGIN
    IF NOT pg_has_role('{member}', '{role}', 'MEMBER') THEN
        GRANT {role} TO {member};
    END IF;
EXCEPTION WHEN unique_violation THEN
    NULL;
END
$member$"""
_GRANT_TO_OWNER = """DO $owner$
DECLARE
    login name := (SELECT rolname FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
                   WHERE pg_class.oid = to_regclass('users'));
BEGIN
    IF NOT pg_has_role(login, '{role}', 'MEMBER') THEN
        EXECUTE format('GRANT {role} TO %I', login);
    END IF;
END
$owner$"""
"""The login that owned the tables stays able to migrate: it becomes a member of their new owner."""
_OWN_PARTITIONS = """DO $partitions$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('{table}') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {owner}', part);
        EXECUTE format('REVOKE ALL ON %s FROM {others}', part);
    END LOOP;
END
$partitions$"""
_OWN_FUNCTIONS = """DO $functions$
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
_REVOKE_TEMPORARY = """DO $temporary$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, {roles}', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    NULL;  -- its owner can; `pg_temp` is last in every search path as well
END
$temporary$"""
"""A temporary table left on a pooled connection could stand in for one of ours. The database's
owner and superusers still create them; other programs need a GRANT of their own."""

_MAY_CREATE_TEMPORARY = f"""
SELECT bool_or(has_database_privilege(role, current_database(), 'TEMPORARY'))
FROM unnest(ARRAY['{APPLICATION}', '{SERVICE}']) AS role
"""
_STATE = """
SELECT rolsuper, ARRAY(SELECT tablename || '.' || policyname FROM pg_policies
                       WHERE schemaname = current_schema())
FROM pg_roles WHERE rolname = current_user
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('digitwin.roles', 0))"


def statements(schema: str = "public", logins: Iterable[str] = ()) -> list[str]:
    """Return the statements that create the roles and grant privileges, in order; idempotent.

    Args:
        schema: the schema of the tables.
        logins: existing logins of services; they are granted the roles a service needs.

    Raises:
        InvalidInputError: a login's name has characters other than letters, digits, underscores.
    """
    return [sql for group in _groups(schema, logins) for sql in group]


def _groups(schema: str, logins: Iterable[str]) -> list[Sequence[str]]:
    """Return the statements in groups that lock one table at most.

    Logins become members before row security would hide rows from them.
    """
    return [
        [
            *(_CREATE.format(role=role) for role in ROLES),
            *(
                _GRANT_TO_CREATOR.format(role=role)
                for role in (OWNER, RETENTION, APPLICATION, SERVICE)
            ),
            _GRANT_ROLE.format(role=RETENTION, member=OWNER),
            _GRANT_TO_OWNER.format(role=OWNER),
            _REVOKE_TEMPORARY.format(roles=", ".join(ROLES)),
            f'REVOKE CREATE ON SCHEMA "{schema}" FROM PUBLIC',
            f'GRANT USAGE ON SCHEMA "{schema}" TO {", ".join(ROLES)}',
            f'GRANT CREATE ON SCHEMA "{schema}" TO {OWNER}, {RETENTION}',
            *(sql for login in logins for sql in _login_statements(login)),
        ],
        *(_table_statements(table) for table in TABLES.values()),
        *(
            _sequence_statements(sequence, table.rights.owner)
            for table in TABLES.values()
            for sequence in table.sequences
        ),
        [_OWN_FUNCTIONS.format(owner=OWNER)],
    ]


def _table_statements(table: Table) -> list[str]:
    """Return owner, policies and privileges of a table and its partitions."""
    name, rights = table.name, table.rights
    others = ", ".join(role for role in ROLES if role != rights.owner)
    return [
        f"ALTER TABLE {name} OWNER TO {rights.owner}",
        *(
            [_OWN_PARTITIONS.format(table=name, owner=rights.owner, others=others)]
            * table.is_partitioned
        ),
        *(_policies(table) if rights.row_security else ()),
        f"REVOKE ALL ON {name} FROM {others}",
        *(f"GRANT {privileges} ON {name} TO {role}" for role, privileges in rights.granted.items()),
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


def _sequence_statements(sequence: str, owner: str) -> Sequence[str]:
    return (
        f"ALTER SEQUENCE {sequence} OWNER TO {owner}",
        f"GRANT USAGE ON SEQUENCE {sequence} TO {APPLICATION}, {SERVICE}",
    )


def _policy(table: str, name: str, terms: str) -> Sequence[str]:
    return f"DROP POLICY IF EXISTS {name} ON {table}", f"CREATE POLICY {name} ON {table} {terms}"


def _login_statements(name: str) -> list[str]:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
        raise InvalidInputError("login must be letters, digits and underscores", field="login")
    return [f'GRANT {APPLICATION}, {SERVICE} TO "{name}"']


async def apply(
    connection: asyncpg.Connection, schema: str = "public", logins: Iterable[str] = ()
) -> None:
    """Run :func:`statements`, beside traffic: each table is changed in a transaction of its own.

    Raises:
        InvalidInputError: a login's name is invalid.
        ConfigurationError: this login lacks the privilege, or a login does not exist.
        QueryTimeoutError: a table was in use for too long; run it again.
    """
    groups = _groups(schema, logins)
    try:
        for group in groups:
            await applying.in_short_transaction(connection, (_LOCK, *group))
    except asyncpg.InsufficientPrivilegeError as fault:
        raise ConfigurationError(
            "Creating roles needs a superuser, or CREATEROLE and ownership of the tables"
            f" ({fault}): ask an administrator to run the output of `digitwin db roles`",
            field="role",
        ) from fault
    except asyncpg.UndefinedObjectError as fault:
        raise ConfigurationError(f"A login does not exist: {fault}", field="login") from fault
    except driver_errors.DRIVER as fault:
        raise driver_errors.translate(fault) or fault from fault


async def may_create_temporary(connection: asyncpg.Connection) -> bool:
    """Return whether a service may still create temporary tables.

    Only the database's owner and superusers can revoke that: another login's :func:`apply` cannot.
    """
    allowed: bool = await connection.fetchval(_MAY_CREATE_TEMPORARY)
    return allowed


async def ensure(connection: asyncpg.Connection, schema: str = "public") -> bool:
    """Create missing roles and policies, if this login is a superuser.

    Returns:
        Whether all roles and policies exist now.
    """
    privileged, complete = await _standing(connection)
    if privileged and not complete:
        await apply(connection, schema)
    return privileged or complete


async def are_missing(connection: asyncpg.Connection) -> bool:
    """Return whether :func:`ensure` would create roles and policies."""
    privileged, complete = await _standing(connection)
    return privileged and not complete


async def _standing(connection: asyncpg.Connection) -> tuple[bool, bool]:
    """Return whether this login is a superuser, and whether all policies exist."""
    privileged, policies = await connection.fetchrow(_STATE)
    secured = {name for name, table in TABLES.items() if table.rights.row_security}
    return privileged, {f"{name}.{_PERSON_POLICY}" for name in secured} <= set(policies)
