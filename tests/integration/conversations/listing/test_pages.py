"""Sessions page by page, in both directions, and those of one participant."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import ConversationSession, User

SAM = Participant(kind="guest", ref="web-1", name="Sam")


async def some(sessions: Sessions, owner: User, count: int) -> list[Any]:
    return [(await sessions.start(owner.id)).id for _ in range(count)]


def ids(items: list[ConversationSession]) -> list[Any]:
    return [session.id for session in items]


async def test_pages_from_the_newest_to_the_oldest(sessions: Sessions, ada: User) -> None:
    started = await some(sessions, ada, 7)
    found, after = [], None
    while True:
        page = await sessions.list(newest_first=True, limit=3, after=after)
        found += ids(page.items)
        after = page.next_cursor
        if after is None:
            break
    assert found == started[::-1]


async def test_what_starts_meanwhile_shifts_no_page(sessions: Sessions, ada: User) -> None:
    started = await some(sessions, ada, 4)
    page = await sessions.list(newest_first=True, limit=2)
    await some(sessions, ada, 2)
    rest = await sessions.list(newest_first=True, limit=2, after=page.next_cursor)
    assert ids(page.items + rest.items) == started[::-1]
    assert rest.next_cursor is None


async def test_a_cursor_is_followed_in_either_direction(sessions: Sessions, ada: User) -> None:
    started = await some(sessions, ada, 5)
    cursor = (await sessions.list(limit=3)).next_cursor
    assert ids((await sessions.list(after=cursor)).items) == started[3:]
    back = await sessions.list(after=cursor, newest_first=True)
    assert ids(back.items) == started[1::-1]


@pytest.mark.parametrize("newest_first", [None, 1, "yes"])
async def test_a_direction_is_true_or_false(sessions: Sessions, newest_first: Any) -> None:
    for call in (sessions.list, sessions.overviews):
        with pytest.raises(InvalidInputError) as error:
            await call(newest_first=newest_first)
        assert error.value.details["field"] == "newest_first"


async def test_the_sessions_of_a_participant(
    digitwin_db: Database, sessions: Sessions, ada: User, bob: User
) -> None:
    """Of one kind and ref, of whichever owner; name and traits do not matter."""
    hers = [(await sessions.start(ada.id, participant=SAM)).id for _ in range(2)]
    his = (await sessions.start(bob.id, participant=SAM)).id
    for other in (None, Participant("phone", "web-1"), Participant("guest", "web-2")):
        await sessions.start(ada.id, participant=other)
    who = Participant("guest", "web-1")
    assert ids((await sessions.list(participant=who)).items) == [*hers, his]
    assert ids((await sessions.list(participant=who, user_id=ada.id)).items) == hers
    assert ids([session async for session in sessions.stream(participant=who)]) == [*hers, his]
    assert await sessions.count(participant=who) == 3
    assert not await sessions.exists(participant=Participant("user", "web-1"))
    mine = digitwin_db.for_user(bob.id).sessions
    assert ids((await mine.list(participant=who, newest_first=True)).items) == [his]


async def test_a_participant_that_is_an_id_is_found_in_any_spelling(
    sessions: Sessions, ada: User, bob: User
) -> None:
    started = await sessions.start(ada.id, participant=Participant("user", str(bob.id)))
    who = Participant("user", bob.id.hex.upper())
    assert ids((await sessions.list(participant=who)).items) == [started.id]


@pytest.mark.parametrize("participant", [None, "web-1", ("guest", "web-1"), Participant("guest")])
async def test_who_cannot_be_found_is_refused_by_name(sessions: Sessions, participant: Any) -> None:
    for call in (sessions.list, sessions.overviews, sessions.count):
        with pytest.raises(InvalidInputError) as error:
            await call(participant=participant)
        assert error.value.details["field"] == "participant"
