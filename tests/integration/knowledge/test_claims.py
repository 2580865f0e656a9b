"""A document is claimed by one worker at a time, and no more often than is allowed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import digitwin
from digitwin import Lease
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.models import AuditLog, User
from tests.integration.knowledge.queue import claim, let_lapse


async def test_the_oldest_that_waits_comes_first(digitwin_db: Database, note: Any) -> None:
    ids = [(await note()).id for _ in range(3)]
    assert [(await claim(digitwin_db)).document.id for _ in ids] == ids
    assert await digitwin_db.documents.claim(worker="w1", lease_seconds=60) is None


async def test_a_claim_says_who_has_it_and_until_when(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    await note()
    lease = await digitwin_db.documents.claim(worker="w1", lease_seconds=timedelta(minutes=5))
    assert lease is not None
    document = lease.document
    now = await raw.fetchval("SELECT now()")
    assert (document.status, document.worker, document.attempts) == ("processing", "w1", 1)
    assert timedelta(minutes=4) < document.lease_until - now <= timedelta(minutes=5)
    assert (lease.worker, lease.attempt, lease.seconds) == ("w1", 1, 300)
    assert (lease.token, lease.expires_at) == (document.lease_token, document.lease_until)
    assert str(lease.token) not in repr(lease)


@pytest.mark.parametrize("status", ["ready", "failed"])
async def test_what_is_finished_waits_for_nobody(
    digitwin_db: Database, note: Any, status: str
) -> None:
    await note(status=status)
    assert await digitwin_db.documents.claim(worker="w1", lease_seconds=60) is None


async def test_what_is_deleted_waits_for_nobody(digitwin_db: Database, note: Any) -> None:
    await digitwin_db.documents.delete((await note()).id)
    assert await digitwin_db.documents.claim(worker="w1", lease_seconds=60) is None


async def test_a_lease_that_has_passed_is_taken_over(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    await note()
    first = await claim(digitwin_db)
    assert await digitwin_db.documents.claim(worker="w2", lease_seconds=60) is None
    await let_lapse(raw)
    second = await claim(digitwin_db, "w2")
    assert (second.document.id, second.worker, second.attempt) == (first.document.id, "w2", 2)


async def test_a_finished_document_is_free_and_ready(digitwin_db: Database, note: Any) -> None:
    await note()
    done = await digitwin_db.documents.complete(await claim(digitwin_db))
    assert (done.status, done.worker, done.lease_until, done.error) == ("ready", None, None, None)
    assert done.lease_token is None


async def test_a_failure_keeps_its_reason_until_the_next_try(
    digitwin_db: Database, note: Any
) -> None:
    await note()
    lease = await claim(digitwin_db)
    failed = await digitwin_db.documents.fail(lease, "No text in it")
    assert (failed.status, failed.error, failed.worker) == ("failed", "No text in it", None)
    again = await digitwin_db.documents.retry(failed.id)
    assert (again.status, again.error, again.attempts) == ("pending", None, 0)
    assert (await claim(digitwin_db)).document.id == failed.id


async def test_a_document_that_kills_its_workers_is_given_up(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    poison, next_ = await note(), await note()
    for attempt in (1, 2, 3):
        lease = await claim(digitwin_db, max_attempts=3)
        assert (lease.document.id, lease.attempt) == (poison.id, attempt)
        await let_lapse(raw)
    assert (await claim(digitwin_db, max_attempts=3)).document.id == next_.id
    dead = await digitwin_db.documents.get(poison.id)
    assert (dead.status, dead.attempts, dead.worker) == ("failed", 3, None)
    assert (dead.lease_token, dead.lease_until) == (None, None)
    assert dead.error == (
        "Leased 3 times, and each lease ran out before the end: the worker was killed, or needs"
        " a longer lease"
    )
    with pytest.raises(InvalidStateError, match="is failed"):
        await digitwin_db.documents.complete(lease)
    records = await AuditLog.filter(resource_id=str(poison.id)).order_by("id")
    assert [record.action for record in records[1:]] == ["document.claim"] * 3 + ["document.fail"]


async def test_all_that_are_given_up_are_passed_over(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    for _ in range(3):
        await note()
    for _ in range(3):
        await claim(digitwin_db)
    await let_lapse(raw)
    assert await digitwin_db.documents.claim(worker="w", lease_seconds=60, max_attempts=1) is None
    assert (await digitwin_db.documents.statistics()).by_status["failed"] == 3


async def test_the_setting_says_how_often(
    digitwin_url: str, raw: asyncpg.Connection, note: Any
) -> None:
    poison = await note()
    async with digitwin.connect(digitwin_url, document_max_attempts=2) as db:
        for _ in range(2):
            await claim(db)
            await let_lapse(raw)
        assert await db.documents.claim(worker="w1", lease_seconds=60) is None
        assert (await db.documents.get(poison.id)).status == "failed"


async def test_the_last_attempt_counts_if_it_is_finished(digitwin_db: Database, note: Any) -> None:
    await note()
    lease = await claim(digitwin_db, max_attempts=1)
    assert await digitwin_db.documents.claim(worker="w2", lease_seconds=60, max_attempts=1) is None
    assert (await digitwin_db.documents.complete(lease)).status == "ready"


async def test_what_was_given_up_is_tried_again_on_request(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    await note()
    lease = await claim(digitwin_db)
    await let_lapse(raw)
    assert await digitwin_db.documents.claim(worker="w", lease_seconds=60, max_attempts=1) is None
    again = await digitwin_db.documents.retry(lease.document.id)
    assert (again.status, again.attempts, again.error) == ("pending", 0, None)
    assert (await claim(digitwin_db, max_attempts=1)).attempt == 1


@pytest.mark.parametrize("status", ["pending", "processing", "ready"])
async def test_only_what_failed_is_retried(digitwin_db: Database, note: Any, status: Any) -> None:
    document = await note()
    if status != "pending":
        await digitwin_db.documents.update(document.id, status=status)
    with pytest.raises(InvalidStateError, match=f"it is {status}"):
        await digitwin_db.documents.retry(document.id)


async def test_nobody_elses_document_is_retried(
    digitwin_db: Database, note: Any, bob: User
) -> None:
    document = await note(status="failed")
    with pytest.raises(NotFoundError):
        await digitwin_db.for_user(bob.id).documents.retry(document.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.retry(bob.id)


async def test_under_a_scope_only_that_persons_documents_are_claimed(
    digitwin_db: Database, note: Any, ada: User, bob: User
) -> None:
    await note()
    his = await note(user_id=bob.id)
    mine = digitwin_db.for_user(bob.id).documents
    claimed = await mine.claim(worker="w1", lease_seconds=60)
    assert claimed is not None
    assert claimed.document.id == his.id
    assert await mine.claim(worker="w1", lease_seconds=60) is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"worker": ""}, "worker"),
        ({"worker": "x" * 201}, "worker"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"lease_seconds": -1}, "lease_seconds"),
        ({"lease_seconds": float("nan")}, "lease_seconds"),
        ({"lease_seconds": float("inf")}, "lease_seconds"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1001}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
    ],
)
async def test_a_bad_claim_is_refused_by_name(
    digitwin_db: Database, given: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.documents.claim(**{"worker": "w", "lease_seconds": 60, **given})
    assert error.value.details["field"] == field


async def test_many_workers_share_the_work_and_none_does_it_twice(
    digitwin_db: Database, ada: User
) -> None:
    rows: Any = [{"user_id": ada.id, "title": f"T{n}", "content": "c"} for n in range(120)]
    stored = {d.id for d in await digitwin_db.documents.create_many(rows)}

    async def work(name: str) -> list[Any]:
        claimed = []
        while lease := await digitwin_db.documents.claim(worker=name, lease_seconds=60):
            claimed.append(lease.document.id)
            await digitwin_db.documents.complete(lease)
        return claimed

    shares = await asyncio.gather(*(work(f"w{n}") for n in range(16)))
    done = [id for share in shares for id in share]
    assert len(done) == len(set(done)) == len(stored)
    assert set(done) == stored


async def test_a_claim_under_way_makes_nobody_wait_and_gives_nobody_the_same(
    digitwin_db: Database, note: Any
) -> None:
    first, second = await note(), await note()
    async with asyncio.TaskGroup() as tasks:
        started = asyncio.Event()

        async def other() -> Lease:
            await started.wait()
            return await claim(digitwin_db, "w2")

        task = tasks.create_task(other())
        async with asyncio.timeout(4), digitwin_db.transaction():
            assert (await claim(digitwin_db)).document.id == first.id
            started.set()
            assert (await task).document.id == second.id
