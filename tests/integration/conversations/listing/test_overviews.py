"""A list of conversations: each with its participant and its last turn, in one statement."""

from __future__ import annotations

from typing import Any

import asyncpg

from digitwin import Participant, SessionOverview
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.models import User
from tests.integration.conversations.conftest import statements

SAM = Participant(kind="guest", ref="web-1", name="Sam")


async def one(sessions: Sessions) -> SessionOverview:
    [found] = (await sessions.overviews()).items
    return found


async def test_a_session_shows_its_participant_and_its_last_turn(
    sessions: Sessions, ada: User
) -> None:
    session = await sessions.start(ada.id, participant=SAM, metadata={"a": 1})
    await sessions.add_turn(session.id, user_text="When?", twin_text="From nine.")
    turn = await sessions.add_turn(session.id, user_text="Where?", twin_text="Here.")
    found = await one(sessions)
    assert (found.participant_kind, found.participant_name) == ("guest", "Sam")
    assert (found.last_text, found.last_by) == ("Here.", "twin")
    assert (found.last_turn_at, found.last_turn_status) == (turn.ended_at, "completed")
    assert (found.session.id, found.session.turn_count) == (session.id, 2)
    assert found.session.metadata == {"a": 1}
    assert "Here." not in repr(found)
    assert "Sam" not in repr(found)


async def test_a_session_without_turns_or_participant_is_listed(
    sessions: Sessions, ada: User
) -> None:
    await sessions.start(ada.id)
    found = await one(sessions)
    assert (found.participant_kind, found.participant_name) == (None, None)
    assert (found.last_text, found.last_by) == (None, None)
    assert (found.last_turn_at, found.last_turn_status) == (None, None)


async def last(sessions: Sessions, owner: User, **turn: Any) -> tuple[str | None, str | None]:
    session = await sessions.start(owner.id)
    await sessions.add_turn(session.id, **turn)
    found = await one(sessions)
    return found.last_text, found.last_by


async def test_a_question_without_an_answer_is_the_participants(
    sessions: Sessions, ada: User
) -> None:
    assert await last(sessions, ada, user_text="When?") == ("When?", "participant")


async def test_an_interrupted_answer_is_shown_as_far_as_it_was_heard(
    sessions: Sessions, ada: User
) -> None:
    turn = {"user_text": "When?", "twin_text": "From nine.", "interrupted": True}
    assert await last(sessions, ada, **turn, heard_text="From") == ("From", "twin")


async def test_an_answer_that_nobody_heard_is_not_shown(sessions: Sessions, ada: User) -> None:
    turn = {"user_text": "When?", "twin_text": "From nine.", "interrupted": True}
    assert await last(sessions, ada, **turn, heard_text="") == ("When?", "participant")


async def test_an_erased_participants_words_are_not_shown(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    session = await sessions.start(ada.id, participant=SAM)
    await sessions.add_turn(session.id, user_text="When?", twin_text="From nine.")
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-1", reason="asked")
    found = await one(sessions)
    assert (found.last_text, found.last_by, found.participant_name) == (None, None, None)


async def test_a_long_text_is_cut(sessions: Sessions, ada: User) -> None:
    assert await last(sessions, ada, user_text="ä" * 1000) == ("ä" * 500, "participant")


async def test_a_turn_of_an_earlier_release_has_the_time_at_which_it_was_stored(
    sessions: Sessions, ada: User, raw: asyncpg.Connection
) -> None:
    session = await sessions.start(ada.id)
    turn = await sessions.add_turn(session.id, user_text="When?")
    await raw.execute("UPDATE conversation_turns SET started_at = NULL, ended_at = NULL")
    assert (await one(sessions)).last_turn_at == turn.created_at


async def test_pages_go_from_the_newest_to_the_oldest_or_back(
    digitwin_db: Database, sessions: Sessions, ada: User, bob: User
) -> None:
    started = [(await sessions.start(user.id, participant=SAM)).id for user in (ada, ada, bob, ada)]
    hers = [started[0], started[1], started[3]]
    mine = digitwin_db.for_user(ada.id).sessions
    page = await mine.overviews(limit=2)
    assert [row.session.id for row in page.items] == hers[:0:-1]
    rest = await mine.overviews(limit=2, after=page.next_cursor)
    assert [row.session.id for row in rest.items] == hers[:1]
    assert rest.next_cursor is None
    oldest = await sessions.overviews(newest_first=False, participant=SAM)
    assert [row.session.id for row in oldest.items] == started
    assert len((await sessions.overviews(status="ended")).items) == 0


async def test_a_page_is_one_statement(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    session = await sessions.start(ada.id, participant=SAM)
    await sessions.add_turn(session.id, user_text="When?")
    async with statements(digitwin_db) as sent:
        assert len((await sessions.overviews()).items) == 1
    assert len(sent) == 1


async def test_sessions_of_a_deleted_owner_are_hidden(
    digitwin_db: Database, sessions: Sessions, ada: User
) -> None:
    await sessions.start(ada.id)
    await digitwin_db.users.delete(ada.id)
    assert (await sessions.overviews()).items == []
