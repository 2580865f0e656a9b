"""A lease is valid until it runs out or the document is leased again, whatever the names."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from digitwin import Lease
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.models import KnowledgeDocument, User
from tests.integration.knowledge.queue import claim, let_lapse
from tests.support.waiting import UntilWaiting


async def finish(db: Database, lease: Lease, how: str) -> None:
    if how == "fail":
        await db.documents.fail(lease, "reason")
    else:
        await getattr(db.documents, how)(lease)


finishing_first = pytest.mark.parametrize("first", ["complete", "fail"])
holding = pytest.mark.parametrize("how", ["complete", "fail", "renew"])


@holding
async def test_a_worker_whose_lease_has_passed_is_refused(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any, how: str
) -> None:
    await note()
    lease = await claim(digitwin_db)
    await let_lapse(raw)
    with pytest.raises(InvalidStateError, match="it has run out"):
        await finish(digitwin_db, lease, how)
    assert (await digitwin_db.documents.get(lease.document.id)).status == "processing"


@holding
@pytest.mark.parametrize("successor", ["w1", "w2"])
async def test_an_old_process_does_not_touch_its_successors_work(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any, how: str, successor: str
) -> None:
    """Whatever the successor's name is."""
    await note()
    old = await claim(digitwin_db)
    await let_lapse(raw)
    new = await claim(digitwin_db, successor)
    with pytest.raises(InvalidStateError, match="leased again") as error:
        await finish(digitwin_db, old, how)
    assert error.value.details["worker"] == successor
    kept = await digitwin_db.documents.get(new.document.id)
    assert (kept.status, kept.lease_until) == ("processing", new.expires_at)
    assert (await digitwin_db.documents.complete(new)).status == "ready"


@holding
async def test_a_lease_of_before_a_new_start_is_refused(
    digitwin_db: Database, note: Any, how: str
) -> None:
    """Both are the first attempt of a worker of that name."""
    await note()
    old = await claim(digitwin_db)
    await digitwin_db.documents.update(old.document.id, status="pending")
    new = await claim(digitwin_db)
    assert (new.attempt, new.worker) == (old.attempt, old.worker)
    with pytest.raises(InvalidStateError, match="leased again"):
        await finish(digitwin_db, old, how)


@holding
@finishing_first
async def test_a_document_is_finished_once(
    digitwin_db: Database, note: Any, first: str, how: str
) -> None:
    await note()
    lease = await claim(digitwin_db)
    await finish(digitwin_db, lease, first)
    with pytest.raises(InvalidStateError, match=r"is (ready|failed)"):
        await finish(digitwin_db, lease, how)


@holding
async def test_a_deleted_document_is_not_found(digitwin_db: Database, note: Any, how: str) -> None:
    await note()
    lease = await claim(digitwin_db)
    await digitwin_db.documents.delete(lease.document.id)
    with pytest.raises(NotFoundError):
        await finish(digitwin_db, lease, how)


@holding
async def test_under_another_persons_scope_a_lease_is_not_found(
    digitwin_db: Database, note: Any, bob: User, how: str
) -> None:
    await note()
    lease = await claim(digitwin_db)
    with pytest.raises(NotFoundError):
        await finish(digitwin_db.for_user(bob.id), lease, how)  # type: ignore[arg-type]
    assert (await digitwin_db.documents.get(lease.document.id)).lease_token == lease.token


@pytest.mark.parametrize("change", [{"content": "New."}, {"status": "pending"}])
async def test_a_change_takes_the_document_from_its_worker(
    digitwin_db: Database, note: Any, change: Any
) -> None:
    await note()
    lease = await claim(digitwin_db)
    changed = await digitwin_db.documents.update(lease.document.id, **change)
    assert (changed.lease_token, changed.attempts) == (None, 0)
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.complete(lease)
    again = await claim(digitwin_db, "w2")
    assert again.document.content == change.get("content", lease.document.content)


async def test_a_change_that_matters_to_no_worker_leaves_it_the_document(
    digitwin_db: Database, note: Any
) -> None:
    await note()
    lease = await claim(digitwin_db)
    await digitwin_db.documents.update(lease.document.id, title="Better", status="processing")
    done = await digitwin_db.documents.complete(lease)
    assert (done.title, done.status) == ("Better", "ready")


async def test_a_renewed_lease_holds_from_now_on(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    """As long as at the claim, or as told; its document's version stays."""
    await note()
    lease = await claim(digitwin_db)
    await raw.execute("UPDATE knowledge_documents SET lease_until = now() + interval '1 s'")
    renewed = await digitwin_db.documents.renew(lease)
    now = await raw.fetchval("SELECT now()")
    assert timedelta(seconds=50) < renewed.expires_at - now <= timedelta(seconds=60)
    assert (renewed.token, renewed.attempt) == (lease.token, lease.attempt)
    longer = await digitwin_db.documents.renew(renewed, timedelta(hours=1))
    assert longer.expires_at - now > timedelta(minutes=59)
    assert (await digitwin_db.documents.renew(longer)).seconds == 3600
    assert longer.document.version == lease.document.version


async def test_each_of_its_leases_finishes_a_document(digitwin_db: Database, note: Any) -> None:
    """A task that renews beside the work need not hand over what it gets."""
    await note()
    first = await claim(digitwin_db)
    await digitwin_db.documents.renew(first, 120)
    assert (await digitwin_db.documents.complete(first)).status == "ready"


async def test_a_worker_that_finishes_while_its_document_is_taken_is_refused(
    digitwin_db: Database, note: Any, until_waiting: UntilWaiting
) -> None:
    """It started before the lease expired, then waited for the row: the lease is checked last."""
    await note()
    lease = await claim(digitwin_db)
    async with asyncio.TaskGroup() as tasks:
        started = asyncio.Event()

        async def late() -> None:
            await started.wait()
            with pytest.raises(InvalidStateError):
                await digitwin_db.documents.complete(lease)

        tasks.create_task(late())
        async with digitwin_db.transaction():
            await digitwin_db.documents.update(lease.document.id, status="pending")
            await claim(digitwin_db)
            started.set()
            await until_waiting()
    assert (await digitwin_db.documents.get(lease.document.id)).status == "processing"


async def set_clock_back(raw: asyncpg.Connection) -> None:
    """As if the server's clock had been a day ahead at the claim, and were right again."""
    await raw.execute(
        "UPDATE knowledge_documents SET lease_until = lease_until + interval '1 day',"
        " updated_at = updated_at + interval '1 day'"
    )


@holding
async def test_a_lease_made_while_the_clock_was_ahead_is_taken_over(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any, how: str
) -> None:
    await note()
    first = await claim(digitwin_db)
    await set_clock_back(raw)
    second = await claim(digitwin_db)
    assert (second.document.id, second.attempt) == (first.document.id, 2)
    with pytest.raises(InvalidStateError):
        await finish(digitwin_db, first, how)


async def test_a_lease_made_ahead_and_renewed_in_time_is_kept(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    await note()
    lease = await claim(digitwin_db)
    await set_clock_back(raw)
    renewed = await digitwin_db.documents.renew(lease)
    assert renewed.expires_at - await raw.fetchval("SELECT now()") <= timedelta(seconds=60)
    assert await digitwin_db.documents.claim(worker="w2", lease_seconds=60) is None
    assert (await digitwin_db.documents.complete(lease)).status == "ready"


async def test_a_change_does_not_hide_that_a_lease_was_made_ahead(
    digitwin_db: Database, raw: asyncpg.Connection, note: Any
) -> None:
    """Its `updated_at` is right again; the lease would block the document for a day."""
    await note()
    lease = await claim(digitwin_db)
    await set_clock_back(raw)
    changed = await digitwin_db.documents.update(lease.document.id, title="Better")
    assert (changed.status, changed.attempts) == ("pending", 1)
    assert (await claim(digitwin_db, "w2")).attempt == 2


@pytest.mark.parametrize(
    "forged",
    [
        lambda lease: lease.document,
        lambda lease: lease.document.id,
        lambda lease: None,
        lambda lease: replace(lease, token=None),
        lambda lease: replace(lease, token=UUID(int=0)),
        lambda lease: replace(lease, worker=""),
        lambda lease: replace(lease, attempt=2**31),
        lambda lease: replace(lease, document=None),
        lambda lease: replace(lease, document=KnowledgeDocument()),
        lambda lease: type("Mine", (Lease,), {})(
            *(getattr(lease, field.name) for field in fields(lease))
        ),
    ],
)
@holding
async def test_what_is_no_lease_is_refused_by_name(
    digitwin_db: Database, note: Any, forged: Any, how: str
) -> None:
    await note()
    lease = await claim(digitwin_db)
    with pytest.raises(InvalidInputError) as error:
        await finish(digitwin_db, forged(lease), how)
    assert error.value.details["field"] in ("lease", "worker")


async def test_a_lease_with_anothers_token_is_refused(digitwin_db: Database, note: Any) -> None:
    await note()
    lease = await claim(digitwin_db)
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.complete(replace(lease, token=uuid4()))


async def test_a_lease_survives_the_way_to_another_process(
    digitwin_db: Database, note: Any
) -> None:
    await note()
    lease = pickle.loads(pickle.dumps(await claim(digitwin_db)))
    assert (await digitwin_db.documents.complete(lease)).status == "ready"
