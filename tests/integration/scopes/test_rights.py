"""Each role has the rights that its statements need and no other, for the reasons given here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

import digitwin
from digitwin import roles
from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import ConfigurationError, DigiTwinError
from digitwin.kernel.connection import dsn, scopes
from digitwin.kernel.sql.tables import TABLES
from tests.integration.scopes.conftest import Belongings
from tests.integration.scopes.test_row_security import a_login

READ, ADD, CHANGE, REMOVE = "SELECT", "INSERT", "UPDATE", "DELETE"

REASONS = {
    "created, read, changed and hard-deleted by a service; retention locks, changes, deletes": {
        "tables": (
            *("users", "user_emails", "voice_models", "face_models"),
            *("conversation_sessions", "session_artifacts", "knowledge_documents"),
            *("conversation_words", "session_writers", "conversation_turns", "turn_items"),
            "memories",
        ),
        "rights": {
            "digitwin_app": {READ, ADD, CHANGE, REMOVE},
            "digitwin_service": {READ, ADD, CHANGE, REMOVE},
            "digitwin_readonly": {READ},
            "digitwin_retention": {READ, CHANGE, REMOVE},
        },
    },
    "as above, but never deleted by a service: they go with their parent, or by an erasure": {
        "tables": ("deletions", "consents", "participants", "turn_sources"),
        "rights": {
            "digitwin_app": {READ, ADD, CHANGE},
            "digitwin_service": {READ, ADD, CHANGE},
            "digitwin_readonly": {READ},
            "digitwin_retention": {READ, CHANGE, REMOVE},
        },
    },
    "what something cost is never changed, and goes with its session": {
        "tables": ("usage_records",),
        "rights": {
            "digitwin_app": {READ, ADD},
            "digitwin_service": {READ, ADD},
            "digitwin_readonly": {READ},
            "digitwin_retention": {READ, REMOVE},
        },
    },
    "a service creates keys; only retention rewraps (rotation) and destroys them": {
        "tables": ("user_keys",),
        "rights": {
            "digitwin_app": {READ, ADD},
            "digitwin_service": {READ, ADD},
            "digitwin_retention": {READ, CHANGE, REMOVE},
        },
    },
    "entries and buckets are replaced, counted, purged and reset by every instance": {
        "tables": (
            *("embedding_cache", "vector_search_cache", "llm_response_cache"),
            *("cache_invalidations", "rate_limits", "rate_limit_usage"),
        ),
        "rights": {
            "digitwin_app": {READ, ADD, CHANGE, REMOVE},
            "digitwin_service": {READ, ADD, CHANGE, REMOVE},
            "digitwin_retention": {READ, CHANGE, REMOVE},
        },
    },
    "counts are added up and never removed": {
        "tables": ("cache_usage",),
        "rights": {"digitwin_app": {READ, ADD, CHANGE}, "digitwin_service": {READ, ADD, CHANGE}},
    },
    "everybody records; a service also seals and verifies": {
        "tables": ("audit_logs",),
        "rights": {
            "digitwin_app": {ADD},
            "digitwin_service": {READ, ADD},
            "digitwin_audit": {READ},
        },
    },
    "a service seals": {
        "tables": ("audit_seals", "audit_leaves"),
        "rights": {"digitwin_service": {READ, ADD}, "digitwin_audit": {READ}},
    },
    "only the removal of records, by the owner of the trail, writes checkpoints": {
        "tables": ("audit_checkpoints",),
        "rights": {"digitwin_service": {READ}, "digitwin_audit": {READ}},
    },
    "the cache asks whether a person was erased; an erasure begins and completes": {
        "tables": ("erasures",),
        "rights": {
            "digitwin_app": {READ},
            "digitwin_service": {READ},
            "digitwin_retention": {READ, ADD, CHANGE},
        },
    },
    "a hard deletion queues; a service or maintenance claims and removes what is deleted": {
        "tables": ("artifact_deletions",),
        "rights": {
            "digitwin_app": {ADD},
            "digitwin_service": {READ, ADD, CHANGE, REMOVE},
            "digitwin_retention": {READ, ADD, CHANGE, REMOVE},
        },
    },
    "the version of the schema is read at every start": {
        "tables": ("aerich", "digitwin_schema"),
        "rights": {role: {READ} for role in scopes.ROLES[1:]},
    },
}

GRANTED = """
SELECT relname::text, grantee.rolname::text AS role, privilege_type::text AS privilege
FROM pg_class CROSS JOIN LATERAL aclexplode(relacl) AS acl
JOIN pg_roles AS grantee ON grantee.oid = acl.grantee
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND acl.grantee <> relowner
"""


async def test_every_right_has_its_reason(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    wanted: dict[tuple[str, str], set[str]] = {}
    for given in REASONS.values():
        for table in given["tables"]:
            for role, rights in given["rights"].items():  # type: ignore[attr-defined]
                wanted[table, role] = rights
    granted: dict[tuple[str, str], set[str]] = {}
    for row in await raw.fetch(GRANTED):
        granted.setdefault((row["relname"], row["role"]), set()).add(row["privilege"])
    assert granted == wanted
    assert {table for table, _ in wanted} == set(TABLES)


@pytest.fixture
async def login(digitwin_url: str) -> AsyncIterator[str]:
    """The URL of a service's login."""
    async with a_login(digitwin_url, scopes.APPLICATION, scopes.SERVICE) as url:
        yield url


@pytest.fixture
async def stolen(login: str, raw: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """What a thief has: a connection with a service's login, and any SQL."""
    await roles.apply(raw)  # rights on the database itself are not cloned with it
    connection = await asyncpg.connect(login)
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM user_keys",
        "UPDATE user_keys SET wrapped = 'x'",
        "CREATE TEMP TABLE conversation_turns (user_id uuid)",
        "CREATE TABLE conversation_turns_2 (user_id uuid)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DELETE FROM turn_sources",
        "DELETE FROM consents",
        "TRUNCATE users",
        "DELETE FROM erasures",
        "UPDATE erasures SET completed_at = NULL",
        "INSERT INTO audit_checkpoints SELECT * FROM audit_checkpoints",
        "UPDATE audit_logs SET action = 'x'",
        "DELETE FROM audit_seals",
        "ALTER TABLE users DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION digitwin_guard() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN OLD; END'",
        "SET ROLE digitwin_owner",
        "SET ROLE digitwin_retention",
        "SET session_replication_role = replica",
    ],
)
async def test_a_stolen_login_is_refused(
    digitwin_db: Database, ada: Belongings, stolen: asyncpg.Connection, sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stolen.execute(sql)


async def test_who_cannot_revoke_temporary_tables_is_told(
    digitwin_db: Database, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    await roles.apply(raw)
    assert not await roles.may_create_temporary(raw)
    async with a_login(digitwin_url, *scopes.ROLES) as url:
        name = dsn.parse(url).user
        await raw.execute(f"ALTER ROLE {name} CREATEROLE")
        await raw.execute(f"GRANT {', '.join(scopes.ROLES)} TO {name} WITH ADMIN OPTION")
        database = await raw.fetchval("SELECT quote_ident(current_database())")
        await raw.execute(f"GRANT TEMPORARY ON DATABASE {database} TO PUBLIC")
        owner = await asyncpg.connect(url)
        await roles.apply(owner)
        assert await roles.may_create_temporary(owner)
        await owner.close()


async def test_a_temporary_table_stands_in_for_none_of_ours(
    digitwin_db: Database, ada: Belongings
) -> None:
    """Left on a pooled connection, by a login that may create one."""
    aside = digitwin_db._core.aside
    await aside.execute("CREATE TEMP TABLE users (id uuid, name text)")
    await aside.execute("CREATE TEMP TABLE conversation_turns (user_id uuid)")
    assert await aside.fetchval("SELECT count(*) FROM pg_temp.users") == 0  # the same connection
    assert (await digitwin_db.users.get(ada.user)).name == "ada"
    turns = await digitwin_db.sessions.turns(ada.session)
    assert [turn.user_text for turn in turns.items] == ["The secret of ada"]


async def test_a_service_neither_destroys_nor_rotates_keys_and_says_who_may(
    digitwin_db: Database, ada: Belongings, login: str
) -> None:
    await digitwin_db.voices.update(ada.voice, artifact_uri="s3://voice")
    async with digitwin.connect(login, migrate="check") as service:
        with pytest.raises(ConfigurationError, match="digitwin_retention"):
            await service.keys.destroy(ada.user)
    voice = await digitwin_db.voices.get(ada.voice)
    assert voice.artifact_uri == "s3://voice"
    assert await digitwin_db.keys.destroy(ada.user)


async def test_a_service_does_not_erase_and_says_who_may(
    digitwin_db: Database, ada: Belongings, login: str
) -> None:
    async with digitwin.connect(login, migrate="check") as service:
        with pytest.raises(ConfigurationError, match="use the owner of the tables") as refused:
            await service.privacy.erase(ada.user, reason="asked")
    assert "db roles" not in str(refused.value)  # which does not grant that role to a service
    assert await digitwin_db.users.get(ada.user)


async def test_a_login_for_maintenance_destroys_keys(
    digitwin_db: Database, ada: Belongings, digitwin_url: str
) -> None:
    await digitwin_db.voices.update(ada.voice, artifact_uri="s3://voice")
    async with (
        a_login(digitwin_url, scopes.RETENTION) as url,
        connect(url, migrate="check") as keeper,
    ):
        assert await keeper.keys.destroy(ada.user)


async def test_a_schema_that_does_not_exist_is_told_though_temporary_tables_are_refused(
    digitwin_db: Database, login: str
) -> None:
    with pytest.raises(DigiTwinError, match="digitwin db upgrade"):
        async with digitwin.connect(login, migrate="check", schema="elsewhere"):
            pass
