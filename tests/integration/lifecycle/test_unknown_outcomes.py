"""A write is stored, not stored, or of unknown outcome, and trying again is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, ConnectionFailedError, OutcomeUnknownError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationTurn
from tests.faults.proxy import Proxy
from tests.support.waiting import UntilWaiting

Whole = Callable[[Database], Awaitable[None]]


async def lose(hold_text: str, proxy: Proxy, work: Awaitable[object], *, before: bool) -> None:
    """Do the work, and lose the answer to a statement of it, or the statement itself."""
    hold = proxy.hold(hold_text, before=before)
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(5):
        await (hold.seen if before else hold.answered).wait()
        hold.lose()
        await task


@pytest.mark.parametrize(("before", "stored"), [(False, 1), (True, 0)], ids=["answer", "request"])
async def test_a_lost_commit(
    db: Database,
    proxy: Proxy,
    admin: asyncpg.Connection,
    whole: Whole,
    before: bool,
    stored: int,
) -> None:
    """To the client, both look the same: the error says that it cannot know."""

    async def work() -> None:
        async with db.transaction():
            await db.users.create(email="ada@example.com", name="Ada")

    with pytest.raises(OutcomeUnknownError) as raised:
        await lose("COMMIT", proxy, work(), before=before)
    assert not raised.value.retryable
    assert await admin.fetchval("SELECT count(*) FROM users") == stored
    await whole(db)


@pytest.mark.parametrize(("before", "stored"), [(False, 1), (True, 0)], ids=["answer", "request"])
async def test_a_lost_write_outside_a_transaction(
    db: Database,
    proxy: Proxy,
    admin: asyncpg.Connection,
    whole: Whole,
    before: bool,
    stored: int,
) -> None:
    work = db.users.create(email="ada@example.com", name="Ada")
    with pytest.raises(OutcomeUnknownError):
        await lose("ada@example.com", proxy, work, before=before)
    assert await admin.fetchval("SELECT count(*) FROM users") == stored
    await whole(db)


async def test_a_lost_read_is_known_to_have_changed_nothing(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    with pytest.raises(ConnectionFailedError) as raised:
        await lose("ada@", proxy, db.users.find_by_email("ada@example.com"), before=False)
    assert raised.type is ConnectionFailedError
    assert raised.value.retryable
    await whole(db)


async def test_a_statement_lost_in_a_transaction_is_known_to_be_undone(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    async def work() -> None:
        async with db.transaction():
            await db.users.create(email="ada@example.com", name="Ada")

    with pytest.raises(ConnectionFailedError) as raised:
        await lose("ada@example.com", proxy, work(), before=False)
    assert raised.type is ConnectionFailedError
    assert await db.users.count() == 0
    await whole(db)


async def test_a_rolled_back_transaction_raises_its_own_error_though_the_answer_is_lost(
    db: Database, proxy: Proxy, whole: Whole
) -> None:
    async def work() -> None:
        async with db.transaction():
            await db.users.create(email="ada@example.com", name="Ada")
            raise LookupError

    with pytest.raises(LookupError):
        await lose("ROLLBACK", proxy, work(), before=False)
    assert await db.users.count() == 0
    await whole(db)


async def test_trying_again_with_the_same_id_stores_once(db: Database, proxy: Proxy) -> None:
    id = uuid7()
    with pytest.raises(OutcomeUnknownError):
        await lose("ada@", proxy, create(db, id), before=False)
    with pytest.raises(AlreadyExistsError):
        await create(db, id)
    assert (await db.users.get(id)).email == "ada@example.com"
    assert await db.users.count() == 1


async def create(db: Database, id: object) -> object:
    return await db.users.create(id=id, email="ada@example.com", name="Ada")


@pytest.mark.parametrize(("before", "stored"), [(False, 6), (True, 1)], ids=["answer", "request"])
async def test_a_lost_statement_of_several_callers(
    db: Database,
    proxy: Proxy,
    admin: asyncpg.Connection,
    whole: Whole,
    until_waiting: UntilWaiting,
    before: bool,
    stored: int,
) -> None:
    """Each of them is told, and each can send its own again."""
    ada = await db.users.create(email="ada@example.com", name="Ada")
    session = await db.sessions.start(ada.id)

    def add(n: int) -> Awaitable[ConversationTurn]:
        return db.sessions.add_turn(session.id, user_text=f"text-{n}", idempotency_key=f"{n}")

    hold = proxy.hold("text-3", before=before)
    async with admin.transaction():
        await admin.execute(
            "SELECT FROM conversation_sessions WHERE id = $1 FOR UPDATE", session.id
        )
        tasks = [asyncio.ensure_future(add(n)) for n in range(6)]
        await until_waiting()
    async with asyncio.timeout(5):
        await (hold.seen if before else hold.answered).wait()
        hold.lose()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, ConversationTurn)
    assert all(isinstance(other, OutcomeUnknownError) for other in others)
    assert await admin.fetchval("SELECT count(*) FROM conversation_turns") == stored
    turns = await asyncio.gather(*(add(n) for n in range(6)))
    assert sorted(turn.position for turn in turns) == [1, 2, 3, 4, 5, 6]
    await whole(db)
