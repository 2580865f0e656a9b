"""Turns are read in order: all of them, the newest, or in pages."""

from __future__ import annotations

import asyncio
from datetime import UTC
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.repository.paging import encode_cursor
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory


@pytest.fixture
async def told(sessions: Sessions, ada: User) -> ConversationSession:
    """A session of Ada's with 23 turns; she has another one, too."""
    session, other = [await sessions.start(ada.id) for _ in range(2)]
    for one in (session, other):
        await sessions.add_turns(one.id, [{"user_text": f"{n}"} for n in range(1, 24)])
    return session


def positions(turns: Any) -> list[int]:
    return [turn.position for turn in turns]


async def test_a_session_comes_with_all_its_turns_oldest_first(
    sessions: Sessions, told: ConversationSession
) -> None:
    loaded = await sessions.with_turns(str(told.id))
    assert (loaded.id, loaded.turn_count, loaded.version) == (told.id, 23, 2)
    assert positions(loaded.turns) == list(range(1, 24))
    assert [turn.user_text for turn in loaded.turns] == [f"{n}" for n in range(1, 24)]
    assert {turn.session_id for turn in loaded.turns} == {told.id}


async def test_a_session_read_with_its_turns_equals_one_read_alone(
    sessions: Sessions, told: ConversationSession
) -> None:
    await sessions.update(told.id, external_id="x", metadata={"a": [1, {"b": None}]})
    assert dict(await sessions.with_turns(told.id)) == dict(await sessions.get(told.id))


async def test_a_session_without_turns_comes_with_none(
    sessions: Sessions, session: ConversationSession
) -> None:
    assert list((await sessions.with_turns(session.id)).turns) == []


@pytest.mark.parametrize(("limit", "newest"), [(1, [23]), (5, [19, 20, 21, 22, 23])])
async def test_a_limit_takes_the_newest_turns(
    sessions: Sessions, told: ConversationSession, limit: int, newest: list[int]
) -> None:
    assert positions((await sessions.with_turns(told.id, limit=limit)).turns) == newest


@pytest.mark.parametrize("limit", [23, 24, 2**31 - 1, None])
async def test_a_limit_beyond_the_turns_takes_them_all(
    sessions: Sessions, told: ConversationSession, limit: int | None
) -> None:
    assert len((await sessions.with_turns(told.id, limit=limit)).turns) == 23


@pytest.mark.parametrize("limit", [0, -1, 2**31, True, "5", 1.0])
async def test_a_limit_that_cannot_be_is_refused(
    sessions: Sessions, told: ConversationSession, limit: Any
) -> None:
    for call in (
        sessions.with_turns(told.id, limit=limit),
        sessions.turns(told.id, limit=limit),
    ):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == "limit"


async def test_turns_that_are_loaded_need_no_database(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, told: ConversationSession
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    loaded = await db.sessions.with_turns(told.id, limit=3)
    await db.close()
    assert positions(loaded.turns) == [21, 22, 23]
    assert loaded.turns[0].user_text == "21"
    assert len(loaded.turns) == 3
    assert positions([turn async for turn in loaded.turns]) == [21, 22, 23]


async def test_a_page_ends_with_the_newest_turn(
    sessions: Sessions, told: ConversationSession
) -> None:
    assert positions((await sessions.turns(told.id, limit=4)).items) == [20, 21, 22, 23]


async def test_pages_go_backwards_and_show_every_turn_once(
    sessions: Sessions, told: ConversationSession
) -> None:
    pages, before = [], None
    while True:
        page = await sessions.turns(told.id, limit=10, before=before)
        pages.append(positions(page.items))
        if (before := page.next_cursor) is None:
            break
    assert pages == [list(range(14, 24)), list(range(4, 14)), [1, 2, 3]]


async def test_the_oldest_page_has_no_cursor_even_when_it_is_full(
    sessions: Sessions, told: ConversationSession
) -> None:
    assert (await sessions.turns(told.id, limit=23)).next_cursor is None
    first = await sessions.turns(told.id, limit=13)
    second = await sessions.turns(told.id, limit=10, before=first.next_cursor)
    assert (positions(second.items), second.next_cursor) == (list(range(1, 11)), None)


async def test_a_page_has_fifty_turns_unless_something_else_is_said(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turns(session.id, [{"user_text": "x"}] * 51)
    assert positions((await sessions.turns(session.id)).items) == list(range(2, 52))


async def test_a_session_without_turns_has_an_empty_page(
    sessions: Sessions, session: ConversationSession
) -> None:
    page = await sessions.turns(session.id)
    assert (page.items, page.next_cursor) == ([], None)


async def test_turns_added_meanwhile_do_not_move_the_older_pages(
    sessions: Sessions, told: ConversationSession
) -> None:
    first = await sessions.turns(told.id, limit=5)
    await sessions.add_turn(told.id, user_text="meanwhile")
    second = await sessions.turns(told.id, limit=5, before=first.next_cursor)
    assert positions(second.items) == [14, 15, 16, 17, 18]


async def test_a_page_takes_the_owner_where_it_is_known(
    sessions: Sessions, told: ConversationSession, ada: User
) -> None:
    known = await sessions.turns(told.id, user_id=ada.id, limit=1000)
    assert positions(known.items) == positions((await sessions.with_turns(told.id)).turns)


@pytest.mark.parametrize(
    "before",
    ["nonsense", "", 5, b"x", encode_cursor(UUID(int=2**127)), encode_cursor(UUID(int=2**31))],
)
async def test_a_cursor_of_something_else_is_refused(
    sessions: Sessions, told: ConversationSession, before: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.turns(told.id, before=before)
    assert error.value.details["field"] == "before"


async def test_session_and_turns_are_of_one_moment(
    crowd: Sessions, session: ConversationSession
) -> None:
    """A session read with its turns counts exactly those turns."""

    async def write() -> None:
        for _ in range(30):
            await crowd.add_turn(session.id, user_text="x")

    async def read() -> None:
        while not writing.done():
            loaded = await crowd.with_turns(session.id)
            assert positions(loaded.turns) == list(range(1, loaded.turn_count + 1))

    writing = asyncio.gather(*(write() for _ in range(3)))
    await asyncio.gather(*(read() for _ in range(4)), writing)


async def test_a_transaction_reads_what_it_has_written(
    digitwin_db: Database, sessions: Sessions, told: ConversationSession
) -> None:
    async with digitwin_db.transaction():
        await sessions.add_turn(told.id, user_text="mine")
        assert positions((await sessions.turns(told.id, limit=1)).items) == [24]


async def test_a_session_knows_its_turns_in_order(
    sessions: Sessions, told: ConversationSession
) -> None:
    found = await sessions.get(told.id)
    assert positions(await found.turns) == list(range(1, 24))
    newest = await found.turns.order_by("-position").first()
    assert newest is not None
    assert (await newest.session).id == told.id


async def test_sessions_come_with_their_turns_by_prefetching(
    sessions: Sessions, told: ConversationSession
) -> None:
    found = await ConversationSession.all().prefetch_related("turns")
    assert [len(session.turns) for session in found] == [23, 23]
    assert all(a.position < b.position for s in found for a, b in pairwise(s.turns))


@pytest.mark.parametrize("amended", [False, True])
async def test_a_turn_read_with_its_session_equals_one_the_models_read(
    sessions: Sessions, told: ConversationSession, amended: bool
) -> None:
    newest = (await sessions.turns(told.id, limit=1)).items[0]
    if amended:
        await sessions.amend_turn(newest.id, session_id=told.id, twin_text="From nine.")
    [turn] = (await sessions.with_turns(told.id, limit=1)).turns
    assert vars(turn) == vars(await ConversationTurn.get(id=turn.id))
    assert (turn.updated_at == turn.created_at) is not amended


async def test_turns_are_read_whatever_the_format_of_dates_in_the_database(
    digitwin_url: str,
    raw: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    told: ConversationSession,
) -> None:
    name = await raw.fetchval("SELECT current_database()")
    await raw.execute(f"ALTER DATABASE \"{name}\" SET datestyle = 'German, DMY'")
    await raw.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")
    db = await digitwin_db_factory(digitwin_url)
    [turn] = (await db.sessions.with_turns(told.id, limit=1)).turns
    found = await raw.fetchval("SELECT created_at FROM conversation_turns WHERE id = $1", turn.id)
    assert (turn.created_at, turn.created_at.tzinfo) == (found, UTC)
