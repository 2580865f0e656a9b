"""A session of a person, while others delete, erase and end it, and the database is away."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import zipfile
from typing import Any

import asyncpg
import pytest
from agents import Runner

from digitwin import Participant, roles, session_tag
from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, DigiTwinError, InvalidStateError, NotFoundError
from digitwin.integrations.openai_agents import AgentSession, UsageHooks
from digitwin.kernel.connection import scopes
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.integrations.openai_agents.conftest import Open
from tests.integration.integrations.openai_agents.messages import answer, call, result, user
from tests.integration.integrations.openai_agents.scripts import (
    RAIN,
    Weather,
    calls,
    says,
    told,
    twin,
)
from tests.integration.scopes.test_row_security import a_login

SAM = Participant(kind="guest", ref="sam", name="Sam")
SAID = [user("Weather?"), call("c1"), result("c1"), answer(RAIN)]
TURN = ("completed", "Weather?", RAIN, ["message", "tool_call", "tool_result", "message"])


async def found(session: AgentSession) -> Any:
    id = await session.digitwin_session()
    assert id is not None
    return id


@pytest.mark.parametrize("scope", ["none", "person", "service"])
async def test_a_login_with_the_rights_of_a_service(
    digitwin_url: str, raw: asyncpg.Connection, ada: User, opened: Open, scope: str
) -> None:
    for sql in roles.statements():
        await raw.execute(sql)
    async with (
        a_login(digitwin_url, scopes.APPLICATION, scopes.SERVICE) as url,
        connect(url, migrate="check") as db,
    ):
        if scope == "none":
            with pytest.raises(DigiTwinError):
                await opened(db).add_items(SAID)
            return
        handle = db.for_user(ada.id) if scope == "person" else db.for_service(reason="support")
        session = opened(handle)
        await session.add_items(SAID)
        assert await told(handle, session) == [TURN]
        assert await session.get_items() == SAID
        assert [await session.pop_item() for _ in range(5)] == [*SAID[::-1], None]
        assert await told(handle, session) == []
        await session.clear_session()


async def test_another_person_has_a_conversation_of_their_own(
    digitwin_db: Database, bob: User, opened: Open
) -> None:
    await opened().add_items(SAID)
    of_bob = AgentSession(digitwin_db, user_id=bob.id, session_id="chat")
    assert await of_bob.get_items() == []
    assert await of_bob.pop_item() is None
    await of_bob.clear_session()
    assert await opened().get_items() == SAID


async def test_a_scope_of_another_person_finds_nothing(
    digitwin_db: Database, bob: User, opened: Open
) -> None:
    await opened().add_items(SAID)
    session = opened(digitwin_db.for_user(bob.id))
    for method in (session.get_items, session.pop_item, session.clear_session):
        with pytest.raises(NotFoundError):
            await method()
    with pytest.raises(NotFoundError):
        await session.add_items(SAID)


async def test_no_owner(digitwin_db: Database, ada: User, session: AgentSession) -> None:
    await session.add_items(SAID)
    await digitwin_db.users.delete(ada.id)
    assert await session.get_items() == []
    with pytest.raises(NotFoundError) as caught:
        await session.add_items(SAID)
    assert caught.value.details["field"] == "user_id"


async def test_what_else_is_in_the_session_is_not_told(
    digitwin_db: Database, session: AgentSession
) -> None:
    await session.add_items(SAID)
    async with digitwin_db.recorder(await found(session)) as recorder:
        recorder.user_text("Hello")
        recorder.tool_call("weather", {"city": "Bonn"}, call_id="c1")
        recorder.twin_text("Hi.")
        recorder.turn_done()
    assert await session.get_items() == SAID
    assert await session.pop_item() == SAID[-1]


async def test_the_participant_is_the_sessions(digitwin_db: Database, opened: Open) -> None:
    session = opened(participant=SAM, metadata={"page": "home"})
    await session.add_items(SAID)
    started = await digitwin_db.sessions.get(await found(session))
    assert started.participant_id is not None
    assert (started.external_id, started.metadata) == ("chat", {"page": "home"})


async def test_what_is_cleared_can_be_restored(
    digitwin_db: Database, ada: User, opened: Open
) -> None:
    session, second = opened(), opened()
    await session.add_items(SAID)
    old = await found(session)
    tags = [session_tag(old)]
    await digitwin_db.cache.responses.set("k", "v", user_id=ada.id, tags=tags)
    assert await second.get_items() == SAID
    await session.clear_session()
    assert await digitwin_db.cache.responses.get("k", user_id=ada.id) is None
    assert await second.get_items() == []
    await second.add_items([user("New")])
    assert await session.get_items() == [user("New")]
    with pytest.raises(AlreadyExistsError):
        await digitwin_db.sessions.restore(old)
    await session.clear_session()
    await digitwin_db.sessions.restore(old)
    assert await second.get_items() == SAID


async def test_a_run_goes_on_after_somebody_cleared(digitwin_db: Database, opened: Open) -> None:
    session, other = opened(), opened()

    class Clearing(Weather):
        async def looks(self) -> None:
            await other.clear_session()

    await Runner.run(twin([calls(), says()], Clearing()), "Weather?", session=session)
    assert await told(digitwin_db, session) == [
        ("completed", None, RAIN, ["tool_call", "tool_result", "message"])
    ]


async def test_a_session_that_has_ended_is_opened_again(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, opened: Open
) -> None:
    db = await digitwin_db_factory(digitwin_url, late_turns=0)
    session = opened(db)
    await session.add_items(SAID)
    await db.sessions.end(await found(session), reason="idle")
    assert await session.get_items() == SAID
    assert await session.pop_item() == SAID[-1]
    both = [opened(db).add_items([user(f"{n}?"), answer("Yes.")]) for n in range(2)]
    await asyncio.gather(*both)
    assert (await db.sessions.get(await found(session))).status == "active"
    assert len(await told(db, session)) == 3


async def test_after_a_participants_erasure_a_new_conversation_begins(
    digitwin_db: Database, opened: Open
) -> None:
    session = opened(participant=SAM)
    await session.add_items(SAID)
    old = await found(session)
    await digitwin_db.privacy.erase_participant(kind="guest", ref="sam", reason="asked")
    assert await opened().get_items() == []
    assert await session.get_items() == []
    await session.add_items([user("Hello")])
    assert await session.get_items() == [user("Hello")]
    assert await found(session) != old


async def test_export_and_erasure_contain_the_items(
    digitwin_db: Database, ada: User, session: AgentSession, raw: asyncpg.Connection
) -> None:
    await session.add_items(SAID)
    archive = b"".join([chunk async for chunk in digitwin_db.privacy.export(ada.id)])
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        items = next(name for name in files.namelist() if "turn_items" in name)
        assert files.read(items).decode().count('"openai"') == len(SAID)
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    assert await raw.fetchval("SELECT count(*) FROM turn_items") == 0
    assert await session.get_items() == []


async def test_a_database_that_is_away_is_told_and_comes_back(
    hasty: Database, proxy: Proxy, opened: Open
) -> None:
    session = opened(hasty)
    await session.add_items(SAID[:3])
    proxy.freeze()
    for method in (session.get_items, session.pop_item):
        with pytest.raises(DigiTwinError) as caught:
            await method()
        assert caught.value.retryable or caught.value.code == "outcome_unknown"
    proxy.thaw()
    left = await session.get_items()
    assert left == SAID[: len(left)]
    await session.add_items(SAID[len(left) :])
    assert await opened().get_items() == SAID


async def test_a_process_that_is_killed_leaves_what_it_stored(
    digitwin_db: Database, digitwin_url: str, ada: User, session: AgentSession
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.integrations.openai_agents.killed"),
        *(digitwin_url, str(ada.id)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"asked\n"
    process.kill()
    await process.wait()
    assert await told(digitwin_db, session) == [("open", "Weather?", None, ["message"])]
    agent = twin([calls(), says()], weather := Weather())
    await Runner.run(agent, "Weather?", session=session)
    assert weather.calls == 1
    assert (await told(digitwin_db, session))[1:] == [TURN]


async def failures(db: Database) -> int:
    health = await db.health()
    assert health.recorders is not None
    return health.recorders.failed_callbacks


@pytest.mark.parametrize("scope", ["person", "service"])
async def test_a_failure_in_a_scope_is_in_the_health_of_the_handle(
    digitwin_db: Database, ada: User, opened: Open, scope: str
) -> None:
    by_reason = digitwin_db.for_service(reason="support")
    session = opened(digitwin_db.for_user(ada.id) if scope == "person" else by_reason)
    with session.guarding("on_llm_end"):
        raise KeyError("ada@example.com")
    with pytest.raises(asyncio.CancelledError), session.guarding("on_llm_end"):
        raise asyncio.CancelledError
    assert await failures(digitwin_db) == 1


@pytest.mark.parametrize("error", [InvalidStateError("no"), AttributeError("no")])
async def test_usage_that_is_not_stored_fails_no_run(
    digitwin_db: Database,
    session: AgentSession,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuses(**counts: Any) -> None:
        raise error

    hooks = UsageHooks(session)
    monkeypatch.setattr(session, "add_usage", refuses)
    with caplog.at_level(logging.ERROR, "digitwin"):
        await Runner.run(
            twin([calls(), says()], Weather()), "Weather?", session=session, hooks=hooks
        )
    assert await failures(digitwin_db) == 2
    assert len(caplog.records) == 1
    assert await told(digitwin_db, session) == [TURN]


async def test_the_callers_transaction_decides(
    digitwin_db: Database, session: AgentSession
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await session.add_items(SAID)
            1 / 0  # noqa: B018
    assert await session.get_items() == []
    await session.add_items(SAID)
    assert await told(digitwin_db, session) == [TURN]
