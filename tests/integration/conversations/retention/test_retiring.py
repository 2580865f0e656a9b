"""Sessions that ended longer ago than they are kept go with everything, and nothing else does."""

from __future__ import annotations

import asyncio
from contextvars import Context
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin import session_tag
from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.deletion.conftest import CONTENTS
from tests.integration.conversations.retention.conftest import DAY, Aged
from tests.support.contents import furnish_turn
from tests.support.waiting import UntilWaiting

ROUNDS = 10


async def left(db: Database) -> set[UUID]:
    return {row.id async for row in db.sessions.stream(include_deleted=True)}


async def test_unless_told_otherwise_everything_is_kept(
    digitwin_db: Database, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 36_000)
    assert digitwin_db.settings.session_retention is None
    assert (await digitwin_db.maintain()).retired_sessions == 0
    assert await left(digitwin_db) == {old}


@pytest.mark.parametrize("retention", [30 * DAY, timedelta(days=30), str(30 * DAY)])
async def test_what_ended_before_goes(
    keeping: Any, digitwin_db: Database, ada: User, aged: Aged, retention: Any
) -> None:
    old, young = await aged(ada.id, 31), await aged(ada.id, 29)
    running = await digitwin_db.sessions.start(ada.id)
    db = await keeping(retention)
    assert (await db.maintain()).retired_sessions == 1
    assert await left(db) == {young, running.id}
    with pytest.raises(NotFoundError):
        await db.sessions.get(old, include_deleted=True)
    assert (await db.maintain()).retired_sessions == 0


@pytest.mark.parametrize("given", [dict, str])
async def test_each_tier_has_its_own(
    keeping: Any, digitwin_db: Database, aged: Aged, given: Any
) -> None:
    sessions = {}
    for tier in ("free", "pro", "enterprise"):
        user = await digitwin_db.users.create(
            email=f"{tier}@example.com", name="U", subscription_tier=tier
        )
        sessions[tier] = [await aged(user.id, days) for days in (5, 50, 500)]
    by_tier: Any = {"free": 30 * DAY, "pro": 365 * DAY}
    if given is str:
        by_tier = f'{{"free": {30 * DAY}, "pro": {365 * DAY}, "enterprise": null}}'
    db = await keeping(by_tier)
    assert (await db.maintain()).retired_sessions == 3
    assert await left(db) == {*sessions["free"][:1], *sessions["pro"][:2], *sessions["enterprise"]}


async def test_nothing_of_a_session_is_left(
    keeping: Any, digitwin_db: Database, raw: asyncpg.Connection, ada: User, aged: Aged
) -> None:
    db = await keeping(30 * DAY)
    await db.consents.grant(ada.id, purpose="recording", evidence="said so")
    old = await aged(ada.id, 31)
    turn = (await db.sessions.turns(old)).items[0]
    await furnish_turn(db, turn.id)
    await db.sessions.add_artifact(old, kind="recording", artifact_uri="s3://recording")
    for user_id in (ada.id, None):
        await db.cache.responses.set("k", "answer", user_id=user_id, tags=[session_tag(old)])
    assert (await db.maintain()).retired_sessions == 1
    for table in (*CONTENTS, "session_writers"):
        assert await raw.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await raw.fetchval("SELECT count(*) FROM artifact_deletions") == 1
    for user_id in (ada.id, None):
        assert await db.cache.responses.get("k", user_id=user_id) is None


async def test_it_is_on_record(keeping: Any, ada: User, aged: Aged) -> None:
    old = [await aged(ada.id, 31), await aged(ada.id, 32)]
    db = await keeping(30 * DAY)
    await db.maintain()
    records = (await db.audit.list(action="session.hard_delete")).items
    assert {record.resource_id for record in records} == {str(id) for id in old}
    assert {record.user_id for record in records} == {ada.id}
    assert records[0].metadata == {"retention": True, "archived": False}


async def test_a_deleted_session_is_left_to_the_retention_of_deletions(
    keeping: Any, digitwin_db: Database, ada: User, bob: User, aged: Aged
) -> None:
    """So a restore of the user brings back exactly what the deletion hid."""
    hers, his = await aged(ada.id, 31), await aged(bob.id, 31)
    await digitwin_db.sessions.delete(hers)
    await digitwin_db.users.delete(bob.id)
    db = await keeping(30 * DAY)
    assert (await db.maintain()).retired_sessions == 0
    await db.users.restore(bob.id)
    assert (await db.sessions.get(his)).id == his
    assert (await db.maintain()).retired_sessions == 1
    assert await left(db) == {hers}


async def test_many_go_in_short_batches(
    keeping: Any, raw: asyncpg.Connection, ada: User, aged: Aged
) -> None:
    await aged(ada.id, 31)
    copies = """INSERT INTO conversation_sessions (user_id, id, status, started_at, ended_at)
        SELECT user_id, gen_random_uuid(), status, started_at, ended_at
        FROM conversation_sessions, generate_series(1, 130)"""
    await raw.execute(copies)
    db = await keeping(30 * DAY)
    assert (await db.maintain()).retired_sessions == 131


async def test_many_people_are_looked_at(
    keeping: Any, raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, aged: Aged
) -> None:
    monkeypatch.setattr("digitwin.conversations.retention.sweep.PAGE", 7)
    people = """INSERT INTO users (id, email, name)
        SELECT gen_random_uuid(), n || '@example.com', 'U' FROM generate_series(1, 30) AS n
        RETURNING id"""
    ids = sorted(row["id"] for row in await raw.fetch(people))
    for id in (ids[0], ids[6], ids[7], ids[29]):
        await aged(id, 31)
    db = await keeping(30 * DAY)
    assert (await db.maintain()).retired_sessions == 4


async def test_several_instances_share_the_work(
    keeping: Any, ada: User, bob: User, aged: Aged
) -> None:
    for owner in (ada, bob) * 10:
        await aged(owner.id, 31)
    handles = [await keeping(30 * DAY) for _ in range(3)]
    done = await asyncio.gather(*(db.maintain() for db in handles))
    rest = await handles[0].maintain()
    assert sum(report.retired_sessions for report in done) + rest.retired_sessions == 20
    records = await handles[0].audit.list(action="session.hard_delete", limit=100)
    assert len({record.resource_id for record in records.items}) == 20


async def test_a_session_somebody_holds_is_skipped(
    keeping: Any, digitwin_db: Database, ada: User, aged: Aged
) -> None:
    held, _ = await aged(ada.id, 31), await aged(ada.id, 32)
    db = await keeping(30 * DAY)
    async with digitwin_db.transaction():
        await digitwin_db.sessions.update(held, metadata={"a": 1})
        maintaining = asyncio.create_task(db.maintain(), context=Context())
        assert (await maintaining).retired_sessions == 1
    assert await left(db) == {held}


async def test_a_write_beside_it_is_refused_or_keeps_nothing(
    keeping: Any, digitwin_db: Database, raw: asyncpg.Connection, ada: User, aged: Aged
) -> None:
    db = await keeping(30 * DAY)
    for n in range(ROUNDS):
        id = await aged(ada.id, 31)
        ends = await asyncio.gather(
            db.maintain(),
            digitwin_db.sessions.update(id, metadata={"n": n}),
            digitwin_db.sessions.delete(id) if n % 2 else db.maintain(),
            digitwin_db.users.update(ada.id, name=f"Ada {n}"),
            return_exceptions=True,
        )
        for end in ends:
            assert not isinstance(end, BaseException) or isinstance(end, NotFoundError), end
    assert (
        await raw.fetchval(
            "SELECT count(*) FROM conversation_turns AS t WHERE NOT EXISTS"
            " (SELECT FROM conversation_sessions WHERE id = t.session_id)"
        )
        == 0
    )


async def test_a_restore_beside_it_brings_back_or_finds_nothing(
    keeping: Any, digitwin_db: Database, ada: User, aged: Aged
) -> None:
    db = await keeping(30 * DAY, deletion_retention=0.001)
    for _ in range(ROUNDS):
        id = await aged(ada.id, 31)
        await digitwin_db.sessions.delete(id)
        _, restored = await asyncio.gather(
            db.maintain(), digitwin_db.sessions.restore(id), return_exceptions=True
        )
        if isinstance(restored, BaseException):
            assert isinstance(restored, NotFoundError), restored
        await db.maintain()
        assert await db.sessions.find(id, include_deleted=True) is None


async def test_a_change_of_tier_meanwhile_counts(
    keeping: Any, digitwin_db: Database, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 31)
    db = await keeping({"free": 30 * DAY})
    await digitwin_db.users.update(ada.id, subscription_tier="pro")
    assert (await db.maintain()).retired_sessions == 0
    assert await left(db) == {old}


async def test_an_open_transaction_is_not_joined(keeping: Any, ada: User, aged: Aged) -> None:
    await aged(ada.id, 31)
    db = await keeping(30 * DAY)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            assert await db._session_retention().retire() == 1
            raise ZeroDivisionError
    assert await left(db) == set()


async def test_a_user_who_waits_for_nobody_is_not_kept_waiting(
    keeping: Any, digitwin_db: Database, ada: User, aged: Aged, until_waiting: UntilWaiting
) -> None:
    """A new session starts while old ones are being removed."""
    await aged(ada.id, 31)
    db = await keeping(30 * DAY)
    retention = db._session_retention()
    async with db.transaction():
        (held,) = await retention._hold(db._core, ada.id, [])
        await retention._remove(db._core, ada.id, [held])
        starting = digitwin_db.sessions.start(ada.id)
        async with asyncio.timeout(2):
            await asyncio.create_task(starting, context=Context())
            change = digitwin_db.users.update(ada.id, name="Countess")
            await asyncio.create_task(change, context=Context())


async def test_a_login_under_row_security(
    digitwin_url: str,
    raw: asyncpg.Connection,
    digitwin_db_factory: DatabaseFactory,
    ada: User,
    aged: Aged,
) -> None:
    await aged(ada.id, 31)
    await raw.execute("CREATE ROLE retiring LOGIN IN ROLE digitwin_app, digitwin_service")
    try:
        url = digitwin_url.replace("postgres@", "retiring@", 1)
        db = await digitwin_db_factory(url, session_retention=30 * DAY)
        preview = await db.preview_retention()
        assert (preview.sessions, preview.turns) == (1, 1)
        assert await db._session_retention().retire() == 1
    finally:
        await raw.execute("DROP ROLE retiring")
