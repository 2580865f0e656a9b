"""An erasure whose connections are cut at every message is erased by asking once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import ConnectionFailedError
from digitwin.kernel.connection import dsn
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.support.tables import tables_with


@pytest.fixture
async def proxy(digitwin_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(dsn.parse(digitwin_url)) as proxy:
        yield proxy


@pytest.fixture
async def there(proxy: Proxy, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(proxy.url, pool_min=1, pool_max=3, cache_memory_entries=0)


async def somebody(db: Database, n: int, kind: str) -> UUID | str:
    """The one to be erased: a person, or the ref of a participant."""
    ada = await db.users.create(email=f"ada{n}@example.com", name="Ada")
    await db.voices.create(user_id=ada.id, name="Warm", artifact_uri="s3://ada")
    ref = f"guest-{n}" if kind == "participant" else str(ada.id)
    session = await db.sessions.start(ada.id, participant=Participant("guest", ref))
    await db.sessions.add_turn(session.id, user_text="My grandmother's orchard")
    await db.sessions.add_artifact(session.id, kind="file", artifact_uri=f"s3://file/{n}")
    return ref if kind == "participant" else ada.id


async def erase(db: Database, who: UUID | str) -> ErasureReceipt:
    if isinstance(who, str):
        return await db.privacy.erase_participant(kind="guest", ref=who, reason="x")
    return await db.privacy.erase(who, reason="x")


@pytest.mark.parametrize("kind", ["person", "participant"])
async def test_cut_at_every_message(
    digitwin_db: Database, there: Database, proxy: Proxy, raw: asyncpg.Connection, kind: str
) -> None:
    """What was complete is never called retryable, and a second call ends it with one receipt."""
    lost = unknown = n = 0
    was_cut, misled = True, list[int]()
    while was_cut:
        who = await somebody(digitwin_db, n, kind)
        assert await there.ready()
        proxy.passes, receipt = n, None
        try:
            receipt = await erase(there, who)
        except ConnectionFailedError as error:
            lost += 1
            done = await is_gone(digitwin_db, raw, who)
            unknown += done
            if done and error.retryable:
                misled.append(n)
        was_cut, proxy.passes = proxy.passes is None, None
        again = await erase(there, who)
        assert again.completed_at is not None
        assert receipt is None or receipt.id == again.id
        assert await is_gone(digitwin_db, raw, who)
        n += 1
        assert await raw.fetchval(QUEUED) == n * (1 if kind == "participant" else 2)
    assert misled == []
    assert min(n, lost) > 20
    assert unknown  # the answer to COMMIT


QUEUED = "SELECT count(*) FROM artifact_deletions WHERE due_at < 'infinity'"
"""Objects that are deleted now: the file of the session, and the voice of a person."""


async def is_gone(db: Database, raw: asyncpg.Connection, who: UUID | str) -> bool:
    if isinstance(who, UUID):
        return await tables_with(db, who) == []
    return await raw.fetchval("SELECT count(*) FROM participants WHERE ref = $1", who) == 0


async def test_a_scan_that_breaks_off_does_not_undo_the_erasure(
    digitwin_db: Database, there: Database, proxy: Proxy, raw: asyncpg.Connection
) -> None:
    who = await somebody(digitwin_db, 1, "person")
    hold = proxy.hold("strpos(cell.text, term.value)")
    erasing = asyncio.ensure_future(there.privacy.erase(who, reason="x", verify=True))
    async with asyncio.timeout(10):
        await hold.answered.wait()
    hold.lose()
    receipt = await erasing
    assert receipt.completed_at is not None
    assert receipt.scan is not None
    assert not receipt.scan
    assert "users" in receipt.scan.unread
    assert await is_gone(digitwin_db, raw, who)
