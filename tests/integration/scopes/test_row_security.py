"""The second net: the database itself shows one person's rows, and nobody's without a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

import digitwin
from digitwin import roles
from digitwin.database import Database
from digitwin.errors import (
    ConfigurationError,
    DigiTwinError,
    InvalidInputError,
    NotFoundError,
    ScopeRequiredError,
)
from digitwin.kernel.connection import dsn, scopes
from digitwin.kernel.connection.connections import Connection
from digitwin.kernel.connection.wire import SYNC, Transport
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql.tables import TABLES
from digitwin.models import ConversationTurn, KnowledgeDocument, User, VoiceModel
from digitwin.testing import DatabaseFactory
from tests.integration.scopes.conftest import Belongings
from tests.support.tables import SECURED

STANDING = "SELECT current_user <> session_user, current_setting('digitwin.user_id', true)"


@asynccontextmanager
async def a_login(url: str, *members_of: str) -> AsyncIterator[str]:
    """The URL of a login of a service, without any right of its own."""
    name = f"service_{uuid4().hex[:12]}"
    administrator = await asyncpg.connect(url)
    await administrator.execute(f"CREATE ROLE {name} LOGIN")
    for role in members_of:
        await administrator.execute(f"GRANT {role} TO {name}")
    target = dsn.parse(url)
    yield target.url.replace(f"//{target.user}@", f"//{name}@", 1)
    await administrator.execute(f"DROP ROLE {name}")
    await administrator.close()


@pytest.fixture
async def service_url(digitwin_url: str) -> AsyncIterator[str]:
    async with a_login(digitwin_url, scopes.APPLICATION, scopes.SERVICE) as url:
        yield url


@pytest.fixture
async def service(service_url: str) -> AsyncIterator[Database]:
    """A handle on the test's database, as a service's login."""
    async with digitwin.connect(service_url, migrate="check") as db:
        yield db


# The database's own comparison ---------------------------------------------------------------


@pytest.mark.parametrize(("table", "column"), list(SECURED.items()))
async def test_a_statement_that_names_nobody_sees_one_person(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: Belongings,
    bob: Belongings,
    table: str,
    column: str,
) -> None:
    """As if the first net, ``user_id`` in every statement, had been forgotten."""
    mine = digitwin_db._core.scoped(scopes.of_person(bob.user)).db
    owners = await mine.fetch(f"SELECT DISTINCT {column} FROM {table}")
    everybodys = await raw.fetch(f"SELECT DISTINCT {column} FROM {table}")
    assert [row[0] for row in owners] == [bob.user]
    assert len(everybodys) == 2


@pytest.mark.parametrize(("table", "column"), list(SECURED.items()))
async def test_and_changes_only_that_persons_rows(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: Belongings,
    bob: Belongings,
    table: str,
    column: str,
) -> None:
    mine = digitwin_db._core.scoped(scopes.of_person(bob.user)).db
    everybodys = await raw.fetchval(f"SELECT count(*) FROM {table}")
    if "UPDATE" not in TABLES[table].rights.granted[scopes.APPLICATION]:
        with pytest.raises(DigiTwinError, match=r"not permitted|permission|privilege"):
            await mine.execute(f"UPDATE {table} SET {column} = {column}")
        return
    touched = await mine.execute(f"UPDATE {table} SET {column} = {column}")
    assert touched == f"UPDATE {everybodys // 2}"


async def test_a_row_for_another_is_refused(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    mine = digitwin_db._core.scoped(scopes.of_person(bob.user)).db
    with pytest.raises(Exception, match="row-level security"):
        await mine.execute(
            "INSERT INTO participants (user_id, id, kind) VALUES ($1, $2, 'guest')",
            ada.user,
            uuid7(),
        )


async def test_without_a_person_the_application_sees_nothing(
    digitwin_db: Database, ada: Belongings
) -> None:
    nobody = digitwin_db._core.scoped(scopes.Scope(scopes.APPLICATION)).db
    for table in SECURED:
        assert await nobody.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_models_used_directly_are_under_the_scope_of_the_transaction(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    his = digitwin_db.for_user(bob.user)
    async with his.transaction():
        assert [user.id for user in await User.all()] == [bob.user]
        assert await VoiceModel.all().count() == 1
        assert await ConversationTurn.all().count() == 1
        assert await KnowledgeDocument.filter(id=ada.document).first() is None
    assert await User.all().count() == 2


async def test_every_personal_table_is_under_row_security(raw: asyncpg.Connection) -> None:
    """A new table with a ``user_id`` must be given to a role, or be named as one that is not."""
    rows = await raw.fetch(
        "SELECT relname, relrowsecurity FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition AND attname = 'user_id'"
    )
    secured = {row["relname"] for row in rows if row["relrowsecurity"]}
    assert secured == SECURED.keys() - {"users"}
    assert {row["relname"] for row in rows} <= TABLES.keys()


async def test_every_table_is_given_to_roles(raw: asyncpg.Connection) -> None:
    rows = await raw.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    assert {row["relname"] for row in rows} == TABLES.keys()


async def test_a_month_is_no_way_around(
    digitwin_db: Database, raw: asyncpg.Connection, ada: Belongings
) -> None:
    """PostgreSQL asks a partition's own rights when it is named: nobody but its owner has any."""
    part = await raw.fetchval(
        "SELECT relid::regclass::text FROM pg_partition_tree('audit_logs') WHERE isleaf LIMIT 1"
    )
    for scope in (scopes.of_person(ada.user), scopes.ACROSS_PEOPLE):
        under = digitwin_db._core.scoped(scope).db
        for statement in (f"SELECT count(*) FROM {part}", f"DELETE FROM {part}"):
            with pytest.raises(Exception, match="permission denied"):
                await under.execute(statement)


@pytest.mark.parametrize("scope", [scopes.APPLICATION, scopes.SERVICE])
@pytest.mark.parametrize("change", ["UPDATE audit_logs SET action = 'x'", "DELETE FROM audit_logs"])
async def test_the_trail_is_only_added_to(digitwin_db: Database, scope: str, change: str) -> None:
    with pytest.raises(Exception, match="permission denied"):
        await digitwin_db._core.scoped(scopes.Scope(scope)).db.execute(change)


# Nothing is carried on -----------------------------------------------------------------------


async def connections_stand(db: Database, number: int) -> set[tuple[Any, ...]]:
    """What each of so many connections is under, all held at once."""
    ready = asyncio.Barrier(number)

    async def look() -> tuple[Any, ...]:
        async with db._core.aside.transaction() as on:
            await ready.wait()
            row = await on.fetchrow(STANDING)
            assert row is not None
            return bool(row[0]), row[1] or ""

    return set(await asyncio.gather(*(look() for _ in range(number))))


async def test_no_connection_carries_a_scope_on(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, ada: Belongings, bob: Belongings
) -> None:
    db = await digitwin_db_factory(digitwin_url, pool_max=3)

    async def work(of: Belongings) -> None:
        me = db.for_user(of.user)
        await me.voices.list()
        with pytest.raises(NotFoundError):
            await me.voices.get(uuid7())
        async with me.transaction():
            await me.users.update(of.user, name="Anew")
        with pytest.raises(ZeroDivisionError):
            async with me.transaction():
                await me.documents.list()
                raise ZeroDivisionError
        assert len([turn async for turn in me.documents.stream()]) == 1

    await asyncio.gather(*(work(of) for _ in range(10) for of in (ada, bob)))
    assert await connections_stand(db, 3) == {(False, "")}


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_call_leaves_no_scope_behind(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, ada: Belongings, turns: int
) -> None:
    """Cut off after each possible turn of the event loop."""
    db = await digitwin_db_factory(digitwin_url, pool_max=2)
    task = asyncio.create_task(db.for_user(ada.user).voices.list())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await connections_stand(db, 2) == {(False, "")}


async def test_a_scope_joins_the_open_transaction_and_gives_it_back(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    hers, his = digitwin_db.for_user(ada.user), digitwin_db.for_user(bob.user)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await his.users.update(bob.user, name="Robert")
            assert await User.all().count() == 2
            async with hers.transaction():
                assert [user.id for user in await User.all()] == [ada.user]
                assert await his.voices.count() == 1
                assert [user.id for user in await User.all()] == [ada.user]
            assert await digitwin_db.users.count() == 2
            raise ZeroDivisionError
    assert (await digitwin_db.users.get(bob.user)).name == "bob"


async def test_after_a_savepoint_was_rolled_back_the_scope_is_right(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    hers, his = digitwin_db.for_user(ada.user), digitwin_db.for_user(bob.user)
    async with hers.transaction():
        assert await hers.voices.count() == 1
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                async with his.transaction():
                    assert [user.id for user in await User.all()] == [bob.user]
                    raise ZeroDivisionError
            assert [user.id for user in await User.all()] == [ada.user]
            assert await his.voices.get(bob.voice)
            assert await hers.voices.get(ada.voice)


async def test_a_stream_stays_its_persons_whoever_is_asked_in_between(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    hers, his = digitwin_db.for_user(ada.user), digitwin_db.for_user(bob.user)
    await digitwin_db.voices.create_many([{"user_id": ada.user, "name": "x"}] * 1200)
    seen = 0
    async with digitwin_db.transaction():
        async for voice in hers.voices.stream():
            assert voice.user_id == ada.user
            seen += 1
            if seen % 400 == 1:
                assert await his.voices.count() == 1
    assert seen == 1201


async def test_role_and_person_go_with_the_statement_in_one_write(
    digitwin_db: Database, ada: Belongings, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = digitwin_db.for_user(ada.user)
    await me.voices.get(ada.voice)
    asked: list[str] = []
    written: list[bytes] = []
    ask, write = Connection.ask, Transport._write_behind

    async def told(self: Connection, method: str, sql: str, *args: Any) -> Any:
        asked.append(sql)
        return await ask(self, method, sql, *args)

    def seen(self: Transport, data: Any) -> None:
        written.append(self._prefix + bytes(data))
        write(self, data)

    monkeypatch.setattr(Connection, "ask", told)
    monkeypatch.setattr(Transport, "_write_behind", seen)
    await me.voices.get(ada.voice)
    assert len(asked) == len(written) == 1
    assert written[0].count(SYNC) == 1
    assert written[0].index(str(ada.user).encode()) < written[0].index(ada.voice.bytes)


# As a service's own login --------------------------------------------------------------------


async def test_a_services_login_sees_nothing_without_a_scope(
    service: Database, ada: Belongings
) -> None:
    assert await service.users.find(ada.user) is None
    assert await service.users.count() == 0
    assert (await service.sessions.list()).items == []
    with pytest.raises(ScopeRequiredError, match="for_user"):
        await service.users.create(email="dora@example.com", name="Dora")
    with pytest.raises(ScopeRequiredError, match="for_user"):
        async with service.transaction():
            await service.users.create(email="dora@example.com", name="Dora")


def test_a_stamp_carries_no_other_role() -> None:
    for scope in (scopes.of_person(uuid7()), scopes.ACROSS_PEOPLE):
        assert scopes.Scope.of_text(scope.text) == scope
    with pytest.raises(ValueError, match="role"):
        scopes.Scope.of_text("postgres; DROP TABLE users/")


async def test_a_services_login_works_for_a_person(service: Database, ada: Belongings) -> None:
    me = service.for_user(ada.user)
    turn = await me.sessions.add_turn(ada.session, user_text="Hello")
    assert turn.position == 2
    voice = await me.voices.create(name="Clear", status="ready")
    assert (await me.voices.update(voice.id, name="Deep")).name == "Deep"
    await me.voices.delete(voice.id)
    assert (await me.voices.restore(voice.id)).name == "Deep"
    await me.voices.hard_delete(voice.id)
    assert len(await me.documents.search("secret")) == 1
    await me.users.update(ada.user, email="ada@example.org")
    assert await service.cache.searches.get_or_create("q", _found, user_id=ada.user) == ["it"]
    assert await service.limits.consume(ada.user, "/api", limit=1, window=60)


async def _found() -> list[str]:
    return ["it"]


async def test_what_a_scope_read_is_asked_saved_and_deleted_under_it(
    service: Database, ada: Belongings, bob: Belongings
) -> None:
    """A model remembers on whose behalf it was read, wherever it is used."""
    me = service.for_user(ada.user)
    user = await me.users.get(ada.user)
    voice = (await user.voice_models.all())[0]
    assert voice.id == ada.voice
    assert await user.sessions.all().count() == 1
    await user.fetch_related("documents")
    assert [document.id for document in user.documents] == [ada.document]
    user.name = "Ada, Countess"
    await user.save()
    await user.refresh_from_db()
    assert user.name == "Ada, Countess"
    await voice.delete()
    assert await me.voices.find(ada.voice) is None
    everybody = await service.for_service(reason="a look").users.get(bob.user)
    assert await everybody.documents.all().count() == 1


async def test_a_new_person_signs_up_under_their_own_scope(service: Database) -> None:
    id = uuid7()
    await service.for_user(id).users.create(email="dora@example.com", name="Dora")
    assert (await service.for_user(id).users.get(id)).name == "Dora"


async def test_a_service_works_across_people_and_says_why(
    service: Database, digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    everybody = service.for_service(reason="nightly clean-up")
    assert await everybody.users.count() == 2
    assert len([user async for user in everybody.users.stream()]) == 2
    await everybody.users.create(email="dora@example.com", name="Dora")
    [said] = (await digitwin_db.audit.list(action="scope.service")).items
    assert said.metadata["reason"] == "nightly clean-up"


async def test_the_reason_stands_though_the_work_was_rolled_back(
    digitwin_db: Database, ada: Belongings
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.for_service(reason="a try").users.count()
            raise ZeroDivisionError
    assert len((await digitwin_db.audit.list(action="scope.service")).items) == 1


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, None, 1])
async def test_a_reason_must_be_given(digitwin_db: Database, reason: Any) -> None:
    with pytest.raises(InvalidInputError, match="reason"):
        digitwin_db.for_service(reason=reason)


async def test_a_login_that_may_not_work_across_people_is_told(
    digitwin_url: str, ada: Belongings
) -> None:
    async with (
        a_login(digitwin_url, scopes.APPLICATION) as url,
        digitwin.connect(url, migrate="check") as db,
    ):
        assert await db.for_user(ada.user).users.count() == 1
        with pytest.raises(ConfigurationError, match="digitwin db roles"):
            await db.for_service(reason="a try").users.count()
        assert await db.for_user(ada.user).users.count() == 1


async def test_a_missing_role_names_the_command(digitwin_db: Database) -> None:
    none = digitwin_db._core.scoped(scopes.Scope("digitwin_of_nobody"))
    with pytest.raises(ConfigurationError, match=r"digitwin db roles --apply") as refused:
        await none.db.fetchval("SELECT 1")
    assert refused.value.details["role"] == "digitwin_of_nobody"
    async with digitwin_db.transaction():
        with pytest.raises(ConfigurationError, match="digitwin db roles"):
            async with none.transaction():
                await none.db.fetchval("SELECT 1")
        assert await digitwin_db.users.count() == 0


async def test_a_scope_can_be_required(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, ada: Belongings
) -> None:
    db = await digitwin_db_factory(digitwin_url, scope="required")
    for call in (db.users.get(ada.user), db.voices.list(), db.sessions.count()):
        with pytest.raises(ScopeRequiredError, match="for_service"):
            await call
    with pytest.raises(ScopeRequiredError):
        [_ async for _ in db.documents.stream()]
    assert await db.for_user(ada.user).users.count() == 1
    assert await db.for_service(reason="counting").users.count() == 1


async def test_roles_read_and_forget_what_is_theirs(digitwin_db: Database, ada: Belongings) -> None:
    """Reading alone changes nothing, the trail's reader sees the trail and nobody's data."""
    on = digitwin_db._core
    reader = on.scoped(scopes.Scope(scopes.READ_ONLY)).db
    assert await reader.fetchval("SELECT count(*) FROM users") == 1
    auditor = on.scoped(scopes.Scope(scopes.AUDIT)).db
    assert await auditor.fetchval("SELECT count(*) FROM audit_logs") >= 0
    for refused in (
        reader.execute("UPDATE users SET name = 'x'"),
        reader.fetchval("SELECT count(*) FROM audit_logs"),
        auditor.fetchval("SELECT count(*) FROM users"),
        auditor.execute("DELETE FROM audit_logs"),
    ):
        with pytest.raises(Exception, match="permission denied"):
            await refused


def test_a_logins_name_is_not_written_as_it_comes() -> None:
    with pytest.raises(InvalidInputError, match="login"):
        roles.statements("public", ['x"; DROP TABLE users; --'])


# Plans ---------------------------------------------------------------------------------------

FILL = (
    "INSERT INTO users (id, email, name) SELECT gen_random_uuid(), n || '@example.com', 'x'"
    " FROM generate_series(1, 3000) AS n",
    "INSERT INTO user_emails (address, user_id) SELECT email, id FROM users",
    *(
        f"INSERT INTO {table} (user_id, id, name) SELECT id, gen_random_uuid(), 'x'"
        " FROM users, generate_series(1, 5)"
        for table in ("voice_models", "face_models")
    ),
    "INSERT INTO knowledge_documents (user_id, id, title, content, content_hash)"
    " SELECT id, gen_random_uuid(), 'x', 'words of ' || n, 'x' FROM users, generate_series(1, 5) n",
    "INSERT INTO conversation_sessions (user_id, id, turn_count) SELECT id, gen_random_uuid(), 1"
    " FROM users, generate_series(1, 5)",
    "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)"
    " SELECT user_id, id, 1, gen_random_uuid(), 'x' FROM conversation_sessions",
    "INSERT INTO consents (user_id, id, purpose, evidence) SELECT id, gen_random_uuid(), p,"
    " jsonb_build_object() FROM users, unnest(ARRAY['voice', 'face']) AS p",
    "INSERT INTO participants (user_id, id, kind) SELECT id, gen_random_uuid(), 'guest'"
    " FROM users, generate_series(1, 5)",
    "ANALYZE",
)


@pytest.fixture
async def filled(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    connection = await asyncpg.connect(digitwin_url)
    for statement in FILL:
        await connection.execute(statement)
    await connection.close()
    return await digitwin_db_factory(digitwin_url)


def reads(plan: dict[str, Any]) -> Iterator[str]:
    if "Relation Name" in plan:
        yield f"{plan['Node Type']} on {plan['Relation Name']}"
    for child in plan.get("Plans", ()):
        yield from reads(child)


async def test_plans_stay_on_their_indexes_under_policies(filled: Database) -> None:
    """Every statement that a scope sends is explained as it is sent, under its role."""
    user = await filled._core.db.fetchval("SELECT id FROM users LIMIT 1")
    me = filled.for_user(user)
    explained: list[str] = []
    ask = Connection.ask

    async def told(self: Connection, method: str, sql: str, *args: Any) -> Any:
        if args:
            plan = await ask(self, "fetchval", f"EXPLAIN (FORMAT JSON) {sql}", *args)
            explained.extend(reads(json.loads(plan)[0]["Plan"]))
        return await ask(self, method, sql, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "ask", told)
        await me.users.get(user)
        await me.users.find_by_email("1@example.com")
        for repository in (me.voices, me.faces, me.documents, me.sessions):
            page: Any = await repository.list()  # type: ignore[attr-defined]
            await repository.get(page.items[0].id)
            await repository.count()  # type: ignore[attr-defined]
        await me.voices.active_for()
        session = (await me.sessions.list()).items[0]
        await me.sessions.with_turns(session.id)
        await me.sessions.add_turn(session.id, user_text="x")
        await me.documents.search("words")
    assert len(explained) > 12
    assert [node for node in explained if node.startswith("Seq Scan")] == []
