"""Whoever still writes to the session of somebody who was erased brings no word of theirs back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import DigiTwinError, InvalidStateError
from tests.support.waiting import UntilWaiting

SAM, TOM = Participant("guest", "web-sam", "Sam"), Participant("guest", "web-tom", "Tom")


class Talk(NamedTuple):
    """A session of Sam's with an open turn of his and one of Tom's."""

    id: UUID
    sams: UUID
    toms: UUID
    tom: UUID


@pytest.fixture
async def talk(digitwin_db: Database) -> Talk:
    db = digitwin_db.sessions
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    toms = await db.start(ada.id, participant=TOM)
    session = await db.start(ada.id, participant=SAM)
    first = await db.open_turn(session.id, user_text="Sam")
    second = await db.open_turn(session.id, user_text="Tom", participant_id=toms.participant_id)
    assert toms.participant_id is not None
    return Talk(session.id, first.id, second.id, toms.participant_id)


ITEM: Any = [{"kind": "tool_call", "call_id": "c", "name": "lookup", "payload": {"query": "late"}}]
WAYS: dict[str, Callable[[Any, UUID, UUID], Awaitable[object]]] = {
    "open": lambda s, id, turn: s.open_turn(id, user_text="late"),
    "add": lambda s, id, turn: s.add_turn(id, user_text="late"),
    "add_turns": lambda s, id, turn: s.add_turns(id, [{"user_text": "late"}]),
    "extend": lambda s, id, turn: s.extend_turn(turn, session_id=id, user_text="late"),
    "answer": lambda s, id, turn: s.extend_turn(turn, session_id=id, twin_text="late"),
    "item": lambda s, id, turn: s.extend_turn(turn, session_id=id, items=ITEM),
    "close": lambda s, id, turn: s.close_turn(turn, session_id=id, twin_text="late"),
    "amend": lambda s, id, turn: s.amend_turn(turn, session_id=id, user_text="late"),
}
OF_A_TURN = ("extend", "answer", "item", "close", "amend")


async def erase(db: Database, who: Participant) -> None:
    await db.privacy.erase_participant(kind=who.kind, ref=who.ref, reason="x")


async def words(raw: asyncpg.Connection) -> str:
    turns = await raw.fetch("SELECT user_text, twin_text FROM conversation_turns")
    return str((turns, await raw.fetch("SELECT payload FROM turn_items")))


@pytest.mark.parametrize("way", WAYS)
async def test_after_the_erasure(
    digitwin_db: Database, raw: asyncpg.Connection, talk: Talk, way: str
) -> None:
    await erase(digitwin_db, SAM)
    with pytest.raises(DigiTwinError):
        await WAYS[way](digitwin_db.sessions, talk.id, talk.sams)
    assert "late" not in await words(raw)


@pytest.mark.parametrize("way", WAYS)
async def test_while_it_runs(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    talk: Talk,
    until_waiting: UntilWaiting,
    way: str,
) -> None:
    async with raw.transaction():
        await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
        erasing = asyncio.create_task(erase(digitwin_db, SAM))
        await until_waiting()
        writing = asyncio.ensure_future(WAYS[way](digitwin_db.sessions, talk.id, talk.sams))
        await until_waiting(2)
    await erasing
    with pytest.raises(DigiTwinError):
        await writing
    assert "late" not in await words(raw)


@pytest.mark.parametrize("way", OF_A_TURN)
async def test_of_a_second_speaker(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    talk: Talk,
    until_waiting: UntilWaiting,
    way: str,
) -> None:
    async with raw.transaction():
        await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
        erasing = asyncio.create_task(erase(digitwin_db, TOM))
        await until_waiting()
        writing = asyncio.ensure_future(WAYS[way](digitwin_db.sessions, talk.id, talk.toms))
        await until_waiting(2)
    await erasing
    with pytest.raises(DigiTwinError):
        await writing
    with pytest.raises(DigiTwinError):
        await WAYS[way](digitwin_db.sessions, talk.id, talk.toms)
    assert "late" not in await words(raw)
    await digitwin_db.sessions.extend_turn(talk.sams, session_id=talk.id, user_text=" goes on")
    assert "Sam goes on" in await words(raw)


async def test_a_turn_of_theirs_is_not_opened_again(
    digitwin_db: Database, raw: asyncpg.Connection, talk: Talk
) -> None:
    await erase(digitwin_db, TOM)
    with pytest.raises(DigiTwinError):
        await digitwin_db.sessions.open_turn(talk.id, user_text="late", participant_id=talk.tom)
    assert "late" not in await words(raw)


async def test_their_session_is_not_opened_again(digitwin_db: Database, talk: Talk) -> None:
    await erase(digitwin_db, SAM)
    with pytest.raises(InvalidStateError, match="erased"):
        await digitwin_db.sessions.reopen(talk.id)
