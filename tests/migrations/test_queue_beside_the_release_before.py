"""Workers of this release and of the one before, which leases without a token, share a queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import InvalidStateError
from digitwin.keys import master_keys
from digitwin.models import KnowledgeDocument
from tests.migrations.release_before import ReleaseBefore

LAPSE = "UPDATE knowledge_documents SET lease_until = now() - interval '1 s'"


@pytest.fixture
async def db(migrated: asyncpg.Connection, url: str, tmp_path: Path) -> AsyncIterator[Database]:
    given = {"home": tmp_path, "master_key": master_keys.generate()}
    async with digitwin.connect(url, **given) as db:
        yield db


@pytest.fixture
async def before(migrated: asyncpg.Connection, url: str) -> AsyncIterator[ReleaseBefore]:
    async with asyncpg.create_pool(url, min_size=0, max_size=2) as pool:
        yield ReleaseBefore(pool)


@pytest.fixture
async def document(db: Database) -> KnowledgeDocument:
    ada = await db.users.create(email="ada@example.com", name="Ada")
    return await db.documents.create(user_id=ada.id, title="Hours", content="From nine")


async def claimed(db: Database) -> digitwin.Lease:
    lease = await db.documents.claim(worker="w", lease_seconds=60)
    assert lease is not None
    return lease


async def test_what_the_release_before_has_leased_is_not_handed_out(
    db: Database, before: ReleaseBefore, document: KnowledgeDocument
) -> None:
    await before.run("claim", worker="old", lease_seconds=60)
    assert await db.documents.claim(worker="w", lease_seconds=60) is None
    done = {"document_id": document.id, "worker": "old", "status": "ready"}
    assert [row["status"] for row in await before.run("finish", **done)] == ["ready"]


async def test_what_this_release_has_leased_is_not_handed_out_by_the_one_before(
    db: Database, before: ReleaseBefore, document: KnowledgeDocument
) -> None:
    lease = await claimed(db)
    assert await before.run("claim", worker="old", lease_seconds=60) == []
    assert (await db.documents.complete(lease)).status == "ready"


@pytest.mark.parametrize("name", ["w", "old"])
async def test_a_lease_that_the_release_before_took_over_is_refused(
    db: Database,
    before: ReleaseBefore,
    document: KnowledgeDocument,
    connection: asyncpg.Connection,
    name: str,
) -> None:
    """It leaves the token, of the same worker too: the number of the attempt tells them apart."""
    lease = await claimed(db)
    await connection.execute(LAPSE)
    await before.run("claim", worker=name, lease_seconds=60)
    assert (await db.documents.get(document.id)).lease_token == lease.token
    with pytest.raises(InvalidStateError, match="leased again"):
        await db.documents.complete(lease)
    done = {"document_id": document.id, "worker": name, "status": "ready"}
    assert [row["status"] for row in await before.run("finish", **done)] == ["ready"]


async def test_a_process_of_the_release_before_does_not_finish_a_lease_of_this_one(
    db: Database,
    before: ReleaseBefore,
    document: KnowledgeDocument,
    connection: asyncpg.Connection,
) -> None:
    """As far as their names differ, which that release asks for."""
    await before.run("claim", worker="old", lease_seconds=60)
    await connection.execute(LAPSE)
    lease = await claimed(db)
    done = {"document_id": document.id, "worker": "old", "status": "ready"}
    assert await before.run("finish", **done) == []
    assert (await db.documents.complete(lease)).attempts == 2
