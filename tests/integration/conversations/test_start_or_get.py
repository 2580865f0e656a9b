"""One session for each external id, whoever starts it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from digitwin import Participant, uuid7
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from digitwin.models import User
from tests.support.waiting import UntilWaiting


@pytest.mark.parametrize("scoped", [False, True])
async def test_it_starts_once_and_then_gets(digitwin_db: Database, ada: User, scoped: bool) -> None:
    sessions = (digitwin_db.for_user(ada.id) if scoped else digitwin_db).sessions
    sam = Participant(kind="guest", ref="web-1", name="Sam")
    first, started = await sessions.start_or_get(
        ada.id, external_id="call-1", participant=sam, metadata={"n": 1}
    )
    assert started
    renamed = Participant(kind="guest", ref="web-1", name="Other")
    again, started = await sessions.start_or_get(
        ada.id, external_id="call-1", participant=renamed, metadata={"n": 2}
    )
    assert (again.id, again.metadata, started) == (first.id, {"n": 1}, False)
    assert (await first.participant).name == "Sam"
    assert await sessions.count() == 1


async def test_it_is_one_round_trip_and_recorded_once(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    for _ in range(3):
        await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1")
    actions = await raw.fetch("SELECT action FROM audit_logs WHERE action LIKE 'session.%'")
    assert [row["action"] for row in actions] == ["session.start"]


async def test_each_owner_has_their_own(digitwin_db: Database, ada: User, bob: User) -> None:
    made = [
        await digitwin_db.for_user(user.id).sessions.start_or_get(external_id="call-1")
        for user in (ada, bob)
    ]
    assert [started for _, started in made] == [True, True]


async def test_an_ended_session_is_returned_as_it_is(digitwin_db: Database, ada: User) -> None:
    sessions = digitwin_db.sessions
    first, _ = await sessions.start_or_get(ada.id, external_id="call-1")
    await sessions.end(first.id)
    again, started = await sessions.start_or_get(ada.id, external_id="call-1")
    assert (again.id, again.status, started) == (first.id, "ended", False)


async def test_a_deleted_owner_is_not_found(digitwin_db: Database, ada: User) -> None:
    await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1")
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError) as raised:
        await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1")
    assert raised.value.details["field"] == "user_id"


async def test_a_deleted_session_gives_its_name_back(digitwin_db: Database, ada: User) -> None:
    first, _ = await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1")
    await digitwin_db.sessions.delete(first.id)
    again, started = await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1")
    assert started
    assert again.id != first.id
    assert (await digitwin_db.sessions.get(first.id, include_deleted=True)).external_id == "call-1"


async def test_a_taken_id_is_refused(digitwin_db: Database, ada: User) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    with pytest.raises(AlreadyExistsError) as raised:
        await digitwin_db.sessions.start_or_get(ada.id, external_id="call-1", id=session.id)
    assert raised.value.details == {"field": "id", "id": str(session.id)}


@pytest.mark.parametrize("name", [None, "", " ", "a\nb", "x" * 201])
async def test_a_name_is_required(digitwin_db: Database, ada: User, name: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await digitwin_db.sessions.start_or_get(ada.id, external_id=name)
    assert raised.value.details["field"] == "external_id"


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("scoped", [False, True])
async def test_a_concurrent_call_gets_what_the_first_one_started(
    digitwin_db: Database, ada: User, until_waiting: UntilWaiting, within: bool, scoped: bool
) -> None:
    """The second statement begins before the first session is committed."""
    db = digitwin_db
    sessions = (db.for_user(ada.id) if scoped else db).sessions
    sam = Participant(kind="guest", ref="web-1", name="Sam")
    begun = asyncio.Event()

    async def call() -> object:
        await begun.wait()
        if not within:
            return await sessions.start_or_get(ada.id, external_id="call-1", participant=sam)
        async with db.transaction():
            answer = await sessions.start_or_get(ada.id, external_id="call-1", participant=sam)
            await sessions.start(ada.id)
            return answer

    second = asyncio.ensure_future(call())
    async with db.transaction():
        first, _ = await db.sessions.start_or_get(ada.id, external_id="call-1")
        begun.set()
        await until_waiting()
    session, started = await second  # type: ignore[misc]
    assert (session.id, started) == (first.id, False)


async def test_of_many_at_once_one_starts(digitwin_db: Database, ada: User) -> None:
    answers = await asyncio.gather(
        *(digitwin_db.sessions.start_or_get(ada.id, external_id="call-1") for _ in range(20))
    )
    assert len({session.id for session, _ in answers}) == 1
    assert [started for _, started in answers].count(True) == 1


async def test_a_missing_model_is_named(digitwin_db: Database, ada: User) -> None:
    with pytest.raises(NotFoundError) as raised:
        await digitwin_db.sessions.start_or_get(
            ada.id, external_id="call-1", voice_model_id=uuid7()
        )
    assert raised.value.details["field"] == "voice_model_id"
