"""What a caller drops is gone at once: nothing waits for the cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from weakref import ref

import pytest

from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.models import ConversationSession, User, VoiceModel


async def _with_turns(db: Database, ada: User) -> list[Any]:
    session = await db.sessions.with_turns((await ConversationSession.get()).id)
    return [session, *session.turns]


async def _scoped_with_turns(db: Database, ada: User) -> list[Any]:
    return await _with_turns(db.for_user(ada.id), ada)  # type: ignore[arg-type]


async def _page_of_turns(db: Database, ada: User) -> list[Any]:
    return (await db.sessions.turns((await ConversationSession.get()).id)).items


async def _prefetched(db: Database, ada: User) -> list[Any]:
    [user] = await User.all().prefetch_related("sessions__turns", "documents")
    return [user, *user.documents, *user.sessions, *user.sessions[0].turns]


async def _fetched_for_a_session(db: Database, ada: User) -> list[Any]:
    session = await ConversationSession.get()
    await session.fetch_related("turns", "user")
    return [session, session.user, *session.turns]


async def _fetched_while_iterated(db: Database, ada: User) -> list[Any]:
    session = await ConversationSession.get()
    return [session, *[turn async for turn in session.turns]]


async def _asked_for_a_relation(db: Database, ada: User) -> list[Any]:
    user = await db.users.get(ada.id)
    return [user, *await user.sessions]


async def _asked_for_rows_that_are_not_there(db: Database, ada: User) -> list[Any]:
    user = await db.users.get(ada.id)
    return [user, await _error(lambda: len(user.sessions))]


async def _of_invalid_input(db: Database, ada: User) -> list[Any]:
    return [await _error(lambda: db.users.create(email="no address", name="Ada"))]


async def _of_an_invalid_field(db: Database, ada: User) -> list[Any]:
    voice = await VoiceModel.get()
    return [voice, await _error(lambda: voice.update_from_dict({"quality_score": object()}))]


async def _of_an_invalid_update(db: Database, ada: User) -> list[Any]:
    return [await _error(lambda: User.filter(id=ada.id).update(name="x" * 10_000))]


async def _error(call: Callable[[], Any]) -> DigiTwinError:
    try:
        result = call()
        if isinstance(result, Awaitable):
            await result
    except DigiTwinError as error:
        return error
    raise AssertionError("nothing was raised")


CALLS = [
    _with_turns,
    _scoped_with_turns,
    _page_of_turns,
    _prefetched,
    _fetched_for_a_session,
    _fetched_while_iterated,
    _asked_for_a_relation,
    _asked_for_rows_that_are_not_there,
    _of_invalid_input,
    _of_an_invalid_field,
    _of_an_invalid_update,
]


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def _references(call: Any, db: Database, ada: User) -> list[ref[Any]]:
    return [ref(row) for row in await call(db, ada)]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__.strip("_"))
@pytest.mark.usefixtures("uncollected")
async def test_nothing_dropped_waits_for_the_collector(
    call: Any, digitwin_db: Database, ada: User
) -> None:
    references = await _references(call, digitwin_db, ada)
    assert references
    assert [found() for found in references if found() is not None] == []


async def test_a_relation_alone_keeps_its_instance(digitwin_db: Database, ada: User) -> None:
    turns = (await digitwin_db.sessions.with_turns((await ConversationSession.get()).id)).turns
    assert [turn.user_text for turn in turns] == ["Ada"]
    assert await turns.filter(user_text="Ada").count() == 1


async def test_a_turn_alone_finds_its_session(digitwin_db: Database, ada: User) -> None:
    session = await ConversationSession.get()
    [turn] = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert await turn.session == session


async def test_a_relation_shows_what_was_fetched_after_it(ada: User) -> None:
    session = await ConversationSession.get()
    turns = session.turns
    await session.fetch_related("turns")
    assert [turn.user_text for turn in turns] == ["Ada"]


async def test_a_constructed_instance_has_the_rows_it_was_given() -> None:
    session = ConversationSession.construct(turns=[])
    assert list(session.turns) == []
    assert len(User.construct(sessions=[session, session]).sessions) == 2  # type: ignore[attr-defined]
