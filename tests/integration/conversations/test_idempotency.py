"""A repeated idempotency key stores one turn and returns it each time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.models import ConversationSession, ConversationTurn, User
from tests.integration.conversations.conftest import WRITERS, assert_gapless
from tests.support.waiting import UntilWaiting

ROUNDS = 5


async def send(
    sessions: Sessions, session: ConversationSession, text: str = "first", key: str = "k"
) -> ConversationTurn:
    return await sessions.add_turn(session.id, user_text=text, idempotency_key=key)


async def test_a_repeat_gives_back_the_first_whatever_it_says(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await send(sessions, session)
    await sessions.add_turn(session.id, user_text="between")
    again = await sessions.add_turn(
        session.id, twin_text="else", interrupted=True, idempotency_key="k"
    )
    assert (again.id, again.position, again.user_text) == (first.id, 1, "first")
    assert (again.twin_text, again.status) == (None, "completed")
    await assert_gapless(sessions, session.id, 2)


async def test_a_repeat_shows_the_first_as_it_is_now(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await send(sessions, session)
    await sessions.amend_turn(first.id, session_id=session.id, twin_text="amended")
    assert (await send(sessions, session)).twin_text == "amended"


async def test_a_repeat_does_not_touch_the_session(
    sessions: Sessions, session: ConversationSession
) -> None:
    await send(sessions, session)
    before = await sessions.get(session.id)
    await send(sessions, session)
    after = await sessions.get(session.id)
    assert (after.version, after.updated_at) == (before.version, before.updated_at)


async def test_another_key_is_another_turn(
    sessions: Sessions, session: ConversationSession
) -> None:
    for n in range(3):
        assert (await send(sessions, session, key=f"k{n}")).position == n + 1


async def test_another_session_has_keys_of_its_own(
    sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    other = await sessions.start(ada.id)
    assert (await send(sessions, session)).id != (await send(sessions, other)).id


async def test_a_turn_of_several_is_the_first_too(
    sessions: Sessions, session: ConversationSession
) -> None:
    [first] = await sessions.add_turns(session.id, [{"user_text": "a", "idempotency_key": "k"}])
    assert (await send(sessions, session)).id == first.id


async def test_a_repeat_after_the_end_gives_back_the_first(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await send(sessions, session)
    await sessions.end(session.id)
    assert (await send(sessions, session)).id == first.id


async def test_of_many_sent_at_once_one_is_stored(crowd: Sessions, ada: User) -> None:
    for _ in range(ROUNDS):
        session = await crowd.start(ada.id)
        turns = await asyncio.gather(*(send(crowd, session, f"{n}") for n in range(WRITERS)))
        assert len({turn.id for turn in turns}) == 1
        assert len({turn.user_text for turn in turns}) == 1
        await assert_gapless(crowd, session.id, 1)


async def test_each_of_several_keys_sent_at_once_is_stored_once_beside_others(
    crowd: Sessions, session: ConversationSession
) -> None:
    keyed = [send(crowd, session, key=f"k{n % 10}") for n in range(WRITERS)]
    others = [crowd.add_turn(session.id, user_text="no key") for _ in range(10)]
    turns = await asyncio.gather(*keyed, *others)
    assert len({turn.id for turn in turns[:WRITERS]}) == 10
    await assert_gapless(crowd, session.id, 20)


async def test_of_many_open_transactions_one_stores_the_turn(
    digitwin_url: str, digitwin_db_factory: Any, session: ConversationSession
) -> None:
    db: Database = await digitwin_db_factory(digitwin_url, pool_max=24)

    async def write(n: int) -> ConversationTurn:
        async with db.transaction():
            turn = await send(db.sessions, session, f"{n}")
            await db.sessions.add_turn(session.id, user_text="after")
        return turn

    turns = await asyncio.gather(*(write(n) for n in range(WRITERS)))
    assert len({turn.id for turn in turns}) == 1
    await assert_gapless(db.sessions, session.id, 1 + WRITERS)


async def test_a_repeat_within_one_transaction_gives_back_the_first(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    async with digitwin_db.transaction():
        first = await send(sessions, session)
        assert (await send(sessions, session)).id == first.id
    await assert_gapless(sessions, session.id, 1)


async def test_a_repeat_that_waited_in_a_transaction_leaves_it_usable(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def repeat() -> ConversationTurn:
        await begun.wait()
        async with digitwin_db.transaction():
            again = await send(sessions, session, "again")
            await sessions.add_turn(session.id, user_text="after")
        return again

    async with asyncio.TaskGroup() as tasks:
        repeated = tasks.create_task(repeat())
        async with digitwin_db.transaction():
            first = await send(sessions, session)
            begun.set()
            await until_waiting()
    assert repeated.result().id == first.id
    await assert_gapless(sessions, session.id, 2)


@pytest.mark.parametrize("inside", [False, True])
async def test_a_repeat_that_waited_for_the_first_and_the_end_gives_back_the_first(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    inside: bool,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def repeat() -> ConversationTurn:
        await begun.wait()
        if not inside:
            return await send(sessions, session, "again")
        async with digitwin_db.transaction():
            return await send(sessions, session, "again")

    async with asyncio.TaskGroup() as tasks:
        repeated = tasks.create_task(repeat())
        async with digitwin_db.transaction():
            first = await send(sessions, session)
            await sessions.end(session.id)
            begun.set()
            await until_waiting()
    assert repeated.result().id == first.id


async def test_when_the_first_is_rolled_back_the_repeat_is_the_first(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    begun = asyncio.Event()

    async def repeat() -> ConversationTurn:
        await begun.wait()
        return await send(sessions, session, "again")

    async with asyncio.TaskGroup() as tasks:
        repeated = tasks.create_task(repeat())
        with pytest.raises(ZeroDivisionError):
            async with digitwin_db.transaction():
                await send(sessions, session)
                begun.set()
                await until_waiting()
                raise ZeroDivisionError
    assert (repeated.result().user_text, repeated.result().position) == ("again", 1)
    await assert_gapless(sessions, session.id, 1)


async def test_a_writer_that_is_cancelled_can_send_its_turn_again(
    crowd: Sessions, session: ConversationSession
) -> None:
    tasks = [asyncio.create_task(send(crowd, session, key=f"k{n}")) for n in range(WRITERS)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(send(crowd, session, key=f"k{n}") for n in range(WRITERS)))
    await assert_gapless(crowd, session.id, WRITERS)
