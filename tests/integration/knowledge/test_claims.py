"""A document is claimed by one worker at a time, while its lease holds."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.models import KnowledgeDocument, User
from tests.support.waiting import UntilWaiting


async def claim(db: Database, worker: str = "w1") -> KnowledgeDocument:
    document = await db.documents.claim(worker=worker, lease_seconds=60)
    assert document is not None
    return document


async def let_lapse(raw: asyncpg.Connection) -> None:
    """Let every lease expire a second ago."""
    await raw.execute(
        "UPDATE knowledge_documents SET lease_until = now() - interval '1 s'"
        " WHERE lease_until IS NOT NULL"
    )


async def test_the_oldest_that_waits_comes_first(digitwin_db: Database, note: Any) -> None:
    ids = [(await note()).id for _ in range(3)]
    assert [(await claim(digitwin_db)).id for _ in ids] == ids
    assert await digitwin_db.documents.claim(worker="w1", lease_seconds=60) is None


async def test_a_claim_says_who_has_it_and_until_when(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    await note()
    document = await digitwin_db.documents.claim(worker="w1", lease_seconds=timedelta(minutes=5))
    assert document is not None
    now = await raw.fetchval("SELECT now()")
    assert (document.status, document.worker, document.attempts) == ("processing", "w1", 1)
    assert timedelta(minutes=4) < document.lease_until - now <= timedelta(minutes=5)


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
    assert (second.id, second.worker, second.attempts) == (first.id, "w2", 2)


async def test_a_finished_document_is_free_and_ready(digitwin_db: Database, note: Any) -> None:
    await note()
    document = await claim(digitwin_db)
    done = await digitwin_db.documents.complete(document.id, worker="w1")
    assert (done.status, done.worker, done.lease_until, done.error) == ("ready", None, None, None)


async def test_a_failure_keeps_its_reason_until_the_next_try(
    digitwin_db: Database, note: Any
) -> None:
    await note()
    document = await claim(digitwin_db)
    failed = await digitwin_db.documents.fail(document.id, "No text in it", worker="w1")
    assert (failed.status, failed.error, failed.worker) == ("failed", "No text in it", None)
    again = await digitwin_db.documents.update(document.id, status="pending")
    assert (again.error, again.attempts) == (None, 0)
    assert (await claim(digitwin_db)).id == document.id


async def finish(db: Database, document: KnowledgeDocument, how: str, worker: str = "w1") -> None:
    if how == "complete":
        await db.documents.complete(document.id, worker=worker)
    else:
        await db.documents.fail(document.id, "reason", worker=worker)


finishing = pytest.mark.parametrize("how", ["complete", "fail"])


@finishing
async def test_a_worker_whose_lease_has_passed_is_refused(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any, how: str
) -> None:
    await note()
    document = await claim(digitwin_db)
    await let_lapse(raw)
    with pytest.raises(InvalidStateError, match="lease has expired"):
        await finish(digitwin_db, document, how)
    assert (await digitwin_db.documents.get(document.id)).status == "processing"


@finishing
async def test_another_workers_document_is_refused(
    digitwin_db: Database, note: Any, how: str
) -> None:
    await note()
    document = await claim(digitwin_db, "w2")
    with pytest.raises(InvalidStateError) as error:
        await finish(digitwin_db, document, how)
    assert error.value.details["worker"] == "w2"


@finishing
async def test_a_document_is_finished_once(digitwin_db: Database, note: Any, how: str) -> None:
    await note()
    document = await claim(digitwin_db)
    await finish(digitwin_db, document, how)
    with pytest.raises(InvalidStateError):
        await finish(digitwin_db, document, how)


async def test_a_deleted_document_is_not_found(digitwin_db: Database, note: Any) -> None:
    await note()
    document = await claim(digitwin_db)
    await digitwin_db.documents.delete(document.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.complete(document.id, worker="w1")


@pytest.mark.parametrize("change", [{"content": "New."}, {"status": "pending"}])
async def test_a_change_takes_the_document_from_its_worker(
    digitwin_db: Database, note: Any, change: Any
) -> None:
    await note()
    document = await claim(digitwin_db)
    await digitwin_db.documents.update(document.id, **change)
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.complete(document.id, worker="w1")
    assert (await claim(digitwin_db, "w2")).content == change.get("content", document.content)


async def test_a_change_that_matters_to_no_worker_leaves_it_the_document(
    digitwin_db: Database, note: Any
) -> None:
    await note()
    document = await claim(digitwin_db)
    await digitwin_db.documents.update(document.id, title="Better", status="processing")
    done = await digitwin_db.documents.complete(document.id, worker="w1")
    assert (done.title, done.status) == ("Better", "ready")


async def test_under_a_scope_only_that_persons_documents_are_claimed(
    digitwin_db: Database, note: Any, ada: User, bob: User
) -> None:
    await note()
    his = await note(user_id=bob.id)
    mine = digitwin_db.for_user(bob.id).documents
    claimed = await mine.claim(worker="w1", lease_seconds=60)
    assert claimed is not None
    assert claimed.id == his.id
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
        while document := await digitwin_db.documents.claim(worker=name, lease_seconds=60):
            claimed.append(document.id)
            await digitwin_db.documents.complete(document.id, worker=name)
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

        async def other() -> KnowledgeDocument:
            await started.wait()
            return await claim(digitwin_db, "w2")

        task = tasks.create_task(other())
        async with asyncio.timeout(4), digitwin_db.transaction():
            assert (await claim(digitwin_db)).id == first.id
            started.set()
            assert (await task).id == second.id


async def test_a_worker_that_finishes_while_its_document_is_taken_is_refused(
    digitwin_db: Database, note: Any, until_waiting: UntilWaiting
) -> None:
    """It started before the lease expired, then waited for the row: the lease is checked last."""
    await note()
    document = await claim(digitwin_db)
    async with asyncio.TaskGroup() as tasks:
        started = asyncio.Event()

        async def late() -> None:
            await started.wait()
            with pytest.raises(InvalidStateError):
                await digitwin_db.documents.complete(document.id, worker="w1")

        tasks.create_task(late())
        async with digitwin_db.transaction():
            await digitwin_db.documents.update(document.id, status="pending")
            await claim(digitwin_db, "w2")
            started.set()
            await until_waiting()
    assert (await digitwin_db.documents.get(document.id)).worker == "w2"


async def test_a_lease_made_while_the_clock_was_ahead_is_taken_over(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    """The server's clock was a day ahead when it was claimed, and is right again."""
    await note()
    first = await claim(digitwin_db)
    await raw.execute(
        "UPDATE knowledge_documents SET lease_until = lease_until + interval '1 day',"
        " updated_at = updated_at + interval '1 day'"
    )
    second = await claim(digitwin_db, "w2")
    assert (second.id, second.worker) == (first.id, "w2")
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.complete(first.id, worker="w1")
