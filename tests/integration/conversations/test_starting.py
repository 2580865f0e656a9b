"""A session starts only for an existing owner, with the owner's own models."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from tests.integration.conversations.conftest import statements
from tests.support.waiting import UntilWaiting

GUEST = Participant(kind="guest", ref="web-1", name="Sam")
MODELS = [("voices", "voice_model_id"), ("faces", "face_model_id")]


async def nothing_stored(raw: asyncpg.Connection) -> bool:
    return not await raw.fetchval(
        "SELECT (SELECT count(*) FROM participants) + (SELECT count(*) FROM conversation_sessions)"
    )


async def test_a_new_session_has_the_documented_defaults(sessions: Sessions, ada: User) -> None:
    session = await sessions.start(ada.id)
    assert (session.user_id, session.status, session.turn_count) == (ada.id, "active", 0)
    assert (session.ended_at, session.end_reason, session.version) == (None, None, 1)
    assert (session.external_id, session.participant_id, session.metadata) == (None, None, {})
    assert (session.voice_model_id, session.face_model_id) == (None, None)


async def test_every_field_comes_back_as_it_was_given(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    given = {
        "id": uuid7(),
        "external_id": "chat/2026 №7",
        "metadata": {"channel": "web", "depth": [1, {"a": None}]},
    }
    for repository, field in MODELS:
        model = await getattr(digitwin_db, repository).create(user_id=ada.id, name="M")
        given[field] = model.id
    started = await sessions.start(ada.id, participant=GUEST, **given)  # type: ignore[arg-type]
    found = await sessions.get(started.id)
    assert {name: getattr(found, name) for name in given} == given


async def test_ids_may_be_strings(digitwin_db: Database, sessions: Sessions, ada: User) -> None:
    voice = await digitwin_db.voices.create(user_id=ada.id, name="Warm")
    id = uuid7()
    session = await sessions.start(str(ada.id), id=str(id), voice_model_id=str(voice.id))
    assert (session.id, session.user_id, session.voice_model_id) == (id, ada.id, voice.id)


async def test_create_is_start(sessions: Sessions, ada: User) -> None:
    session = await sessions.create(ada.id, external_id="x", participant=GUEST)
    assert (await sessions.get(session.id)).external_id == "x"


async def test_a_session_starts_by_the_databases_clock_when_its_statement_does(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    async with digitwin_db.transaction():
        before = await digitwin_db._core.db.fetchval("SELECT clock_timestamp()")
        first = await sessions.start(ada.id)
        second = await sessions.start(ada.id)
        after = await digitwin_db._core.db.fetchval("SELECT clock_timestamp()")
    assert before < first.started_at < second.started_at < after


async def test_a_start_is_one_round_trip(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    async with statements(digitwin_db) as sent:
        await sessions.start(ada.id, participant=GUEST)
    assert len(sent) == 1


async def test_under_a_scope_the_owner_may_be_left_out(digitwin_db: Database, ada: User) -> None:
    session = await digitwin_db.for_user(ada.id).sessions.start(participant=GUEST)
    assert session.user_id == ada.id


async def test_without_a_scope_the_owner_must_be_named(sessions: Sessions) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.start()
    assert error.value.details["field"] == "user_id"


@pytest.mark.parametrize("known", [False, True])
async def test_the_owner_must_be_there_and_alive(
    digitwin_db: Database, raw: asyncpg.Connection, sessions: Sessions, ada: User, known: bool
) -> None:
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError) as error:
        await sessions.start(ada.id if known else uuid7(), participant=GUEST)
    assert error.value.details["field"] == "user_id"
    assert await nothing_stored(raw)


async def test_an_id_made_by_the_caller_is_taken_once(sessions: Sessions, ada: User) -> None:
    id = uuid7()
    await sessions.start(ada.id, id=id)
    with pytest.raises(AlreadyExistsError) as error:
        await sessions.start(ada.id, id=id)
    assert error.value.details["field"] == "id"
    assert await sessions.count() == 1


async def test_an_external_id_is_unique_for_its_owner(
    raw: asyncpg.Connection, sessions: Sessions, ada: User
) -> None:
    await sessions.start(ada.id, external_id="chat-1")
    with pytest.raises(AlreadyExistsError) as error:
        await sessions.start(ada.id, external_id="chat-1", participant=GUEST)
    assert error.value.details["field"] == "external_id"
    assert await sessions.count() == 1
    assert await raw.fetchval("SELECT count(*) FROM participants") == 0


async def test_an_external_id_is_free_for_another_owner(
    sessions: Sessions, ada: User, bob: User
) -> None:
    for owner in (ada, bob):
        await sessions.start(owner.id, external_id="chat-1")
    assert await sessions.count(external_id="chat-1") == 2


async def test_of_many_starts_with_one_external_id_one_is_stored(
    crowd: Sessions, ada: User
) -> None:
    results = await asyncio.gather(
        *(crowd.start(ada.id, external_id="chat-1") for _ in range(20)), return_exceptions=True
    )
    stored = [result for result in results if isinstance(result, ConversationSession)]
    refused = [result for result in results if isinstance(result, AlreadyExistsError)]
    assert (len(stored), len(refused)) == (1, 19)
    assert await crowd.count() == 1


@pytest.mark.parametrize(("repository", "field"), MODELS)
@pytest.mark.parametrize("fault", ["another's", "deleted", "missing"])
async def test_a_model_must_be_a_living_one_of_the_owners(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    ada: User,
    bob: User,
    repository: str,
    field: str,
    fault: str,
) -> None:
    models = getattr(digitwin_db, repository)
    owner = bob if fault == "another's" else ada
    model = await models.create(user_id=owner.id, name="Warm")
    if fault == "deleted":
        await models.delete(model.id)
    if fault == "missing":
        await models.hard_delete(model.id)
    given: Any = {field: model.id}
    with pytest.raises(NotFoundError) as error:
        await sessions.start(ada.id, participant=GUEST, **given)
    assert error.value.details == {"field": field, "id": str(model.id)}
    assert await nothing_stored(raw)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"external_id": ""}, "external_id"),
        ({"external_id": "a\0"}, "external_id"),
        ({"external_id": "x" * 201}, "external_id"),
        ({"external_id": 7}, "external_id"),
        ({"participant": {"kind": "guest"}}, "participant"),
        ({"voice_model_id": "warm"}, "voice_model_id"),
        ({"face_model_id": 7}, "face_model_id"),
        ({"metadata": {"x": float("inf")}}, "metadata"),
        ({"metadata": {"x": "\ud800"}}, "metadata"),
        ({"metadata": "web"}, "metadata"),
        ({"id": "mine"}, "id"),
        ({"status": "ended"}, "status"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    raw: asyncpg.Connection, sessions: Sessions, ada: User, fields: Any, field: str
) -> None:
    for call in (
        sessions.start(ada.id, **fields),
        sessions.create_many([{"user_id": ada.id}, {"user_id": ada.id, **fields}]),
    ):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == field
    assert await nothing_stored(raw)


async def test_a_start_waits_for_a_deletion_of_its_owner(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    ada: User,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def start() -> None:
        await begun.wait()
        with pytest.raises(NotFoundError):
            await sessions.start(ada.id, participant=GUEST)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(start())
        async with digitwin_db.transaction():
            await digitwin_db.users.delete(ada.id)
            begun.set()
            await until_waiting()
    assert await nothing_stored(raw)


async def test_a_deletion_takes_along_what_was_just_starting(
    digitwin_db: Database, sessions: Sessions, ada: User, until_waiting: UntilWaiting
) -> None:
    begun = asyncio.Event()

    async def delete() -> None:
        await begun.wait()
        await digitwin_db.users.delete(ada.id)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(delete())
        async with digitwin_db.transaction():
            session = await sessions.start(ada.id)
            begun.set()
            await until_waiting()
    assert await sessions.find(session.id) is None
    await digitwin_db.users.restore(ada.id)
    assert (await sessions.get(session.id)).end_reason == "user_deleted"


async def test_the_model_itself_says_where_a_session_starts(
    raw: asyncpg.Connection, sessions: Sessions, ada: User
) -> None:
    with pytest.raises(InvalidStateError, match=r"db\.sessions\.start"):
        await ConversationSession.create(user_id=ada.id)
    assert await nothing_stored(raw)
