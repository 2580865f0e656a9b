"""Positions run from 1 without gaps, under concurrent writers and failures."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import WRITERS, assert_gapless

ROUNDS = 4


async def test_many_writers_on_one_session_leave_no_gap(crowd: Sessions, ada: User) -> None:
    for _ in range(ROUNDS):
        session = await crowd.start(ada.id)
        turns = await asyncio.gather(
            *(crowd.add_turn(session.id, user_text=f"{n}") for n in range(WRITERS))
        )
        assert sorted(turn.position for turn in turns) == list(range(1, WRITERS + 1))
        assert [turn.user_text for turn in turns] == [f"{n}" for n in range(WRITERS)]
        await assert_gapless(crowd, session.id, WRITERS)


async def test_writers_that_each_write_often_leave_no_gap(
    crowd: Sessions, session: ConversationSession, ada: User
) -> None:
    async def write(n: int) -> list[int]:
        return [
            (await crowd.add_turn(session.id, user_id=ada.id, user_text=f"{n}.{m}")).position
            for m in range(10)
        ]

    places = await asyncio.gather(*(write(n) for n in range(WRITERS)))
    assert all(own == sorted(own) for own in places)
    await assert_gapless(crowd, session.id, 10 * WRITERS)


async def test_writers_through_several_handles_leave_no_gap(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    sessions: Sessions,
    session: ConversationSession,
) -> None:
    handles = [await digitwin_db_factory(digitwin_url, pool_max=5) for _ in range(4)]
    await asyncio.gather(
        *(
            handles[n % 4].sessions.add_turn(session.id, user_text=f"{n}")
            for n in range(2 * WRITERS)
        )
    )
    await assert_gapless(sessions, session.id, 2 * WRITERS)


async def test_several_turns_stay_together_beside_other_writers(
    crowd: Sessions, session: ConversationSession
) -> None:
    several: list[Any] = [{"user_text": f"{m}"} for m in range(7)]
    calls: list[Any] = [crowd.add_turn(session.id, user_text="alone") for _ in range(WRITERS)]
    blocks: list[Any] = [crowd.add_turns(session.id, several) for _ in range(10)]
    random.Random(1).shuffle(calls)
    results = await asyncio.gather(*calls[:25], *blocks, *calls[25:])
    for block in (result for result in results if isinstance(result, list)):
        first = block[0].position
        assert [turn.position for turn in block] == list(range(first, first + 7))
        assert [turn.user_text for turn in block] == [f"{m}" for m in range(7)]
    await assert_gapless(crowd, session.id, WRITERS + 70)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_writers_that_are_cancelled_leave_no_gap(
    crowd: Sessions, session: ConversationSession, seed: int
) -> None:
    chance = random.Random(seed)
    tasks = [
        asyncio.create_task(crowd.add_turn(session.id, user_text=f"{n}")) for n in range(WRITERS)
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in chance.sample(tasks, WRITERS // 3):
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kept = {result.id for result in results if isinstance(result, ConversationTurn)}
    assert all(isinstance(r, ConversationTurn | asyncio.CancelledError) for r in results)
    stored = (await crowd.with_turns(session.id)).turns
    assert kept <= {turn.id for turn in stored}  # a cancelled writer may have committed
    await assert_gapless(crowd, session.id, len(stored))


async def test_writers_that_are_rolled_back_leave_no_gap(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, session: ConversationSession
) -> None:
    db = await digitwin_db_factory(digitwin_url, pool_max=24)

    async def write(n: int) -> None:
        async with db.transaction():
            await db.sessions.add_turn(session.id, user_text=f"{n}")
            if n % 3 == 0:
                raise ZeroDivisionError

    results = await asyncio.gather(*(write(n) for n in range(WRITERS)), return_exceptions=True)
    failed = sum(isinstance(result, ZeroDivisionError) for result in results)
    assert failed == 17
    await assert_gapless(db.sessions, session.id, WRITERS - failed)


async def test_statements_that_fail_leave_no_gap(
    crowd: Sessions, session: ConversationSession
) -> None:
    await crowd.add_turn(session.id, user_text="first", idempotency_key="taken")
    taken: list[Any] = [{"user_text": "a"}, {"user_text": "b", "idempotency_key": "taken"}]
    calls: list[Any] = [
        crowd.add_turns(session.id, taken) if n % 3 else crowd.add_turn(session.id, user_text="x")
        for n in range(WRITERS)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 33
    await assert_gapless(crowd, session.id, 1 + 17)


async def test_a_savepoint_that_is_rolled_back_gives_its_place_back(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    async with digitwin_db.transaction():
        await sessions.add_turn(session.id, user_text="kept")
        with pytest.raises(ZeroDivisionError):
            async with digitwin_db.transaction():
                await sessions.add_turn(session.id, user_text="lost")
                raise ZeroDivisionError
        assert (await sessions.add_turn(session.id, user_text="kept too")).position == 2
    await assert_gapless(sessions, session.id, 2)


async def test_the_database_itself_refuses_a_position_that_is_taken(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turns(session.id, [{"user_text": "a"}, {"user_text": "b"}])
    with pytest.raises(AlreadyExistsError):
        await digitwin_db._core.db.execute("UPDATE conversation_turns SET position = 1")
