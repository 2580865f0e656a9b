"""Voices and faces elsewhere are deleted in the end, whoever fails or dies meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.privacy import artifacts
from digitwin.privacy.artifacts import Artifact
from digitwin.testing import DatabaseFactory
from tests.integration.privacy.conftest import ARTIFACT, FACE, Person, fill, until


class Bucket:
    """Where artifacts are kept; it may fail some times first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[Artifact] = []

    async def __call__(self, artifact: Artifact) -> None:
        self.asked.append(artifact)
        if self.failures:
            self.failures -= 1
            raise RuntimeError(f"503 for {artifact.address}")

    @property
    def addresses(self) -> list[str]:
        return sorted(artifact.address for artifact in self.asked)


async def none_waits(db: Database) -> bool:
    return await db._core.aside.fetchval("SELECT count(*) = 0 FROM artifact_deletions") is True


async def test_the_hook_is_asked_as_soon_as_they_are_erased(
    digitwin_db: Database, ada: Person
) -> None:
    bucket = Bucket()
    digitwin_db.privacy.on_artifact_delete(bucket)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x")
    await until(lambda: none_waits(digitwin_db))
    assert bucket.addresses == [FACE, ARTIFACT]
    assert {artifact.kind for artifact in bucket.asked} == {"voice", "face"}
    assert (await digitwin_db.privacy.receipt(receipt.id)).pending_artifacts == 0


async def test_addresses_wait_under_the_services_key_alone(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    rows = await raw.fetch("SELECT * FROM artifact_deletions")
    assert len(rows) == 2
    assert "s3://" not in str(rows)
    assert str(ada.id) not in str(rows)
    digitwin_db.privacy.on_artifact_delete(bucket := Bucket())
    await until(lambda: none_waits(digitwin_db))
    assert bucket.addresses == [FACE, ARTIFACT]


async def test_it_is_asked_again_until_it_succeeds(
    digitwin_db: Database, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "FIRST_PAUSE", 0.01)
    bucket = Bucket(failures=5)
    digitwin_db.privacy.on_artifact_delete(bucket)
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await until(lambda: none_waits(digitwin_db))
    assert len(bucket.asked) == 7
    assert len({artifact.id for artifact in bucket.asked}) == 2


async def test_pauses_double_and_the_error_names_no_address(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    digitwin_db.privacy.artifacts.deleter = bucket = Bucket(failures=100)
    pauses = []
    for _ in range(3):
        assert await digitwin_db.privacy.artifacts.deliver() == 0
        rows = await raw.fetch(
            "UPDATE artifact_deletions SET due_at = now() FROM (SELECT id, due_at AS was FROM"
            " artifact_deletions) AS old WHERE old.id = artifact_deletions.id"
            " RETURNING round(extract(epoch FROM was - now()))::int AS pause, error"
        )
        assert {row["error"] for row in rows} == {"RuntimeError"}
        pauses.append(max(row["pause"] for row in rows))
    assert pauses == [30, 60, 120]
    assert len(bucket.asked) == 6


async def test_maintenance_asks_too(digitwin_db: Database, ada: Person) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    digitwin_db.privacy.artifacts.deleter = bucket = Bucket()
    assert (await digitwin_db.maintain()).artifacts_deleted == 2
    assert bucket.addresses == [FACE, ARTIFACT]


async def test_several_instances_never_ask_twice_at_once(
    digitwin_db: Database, digitwin_url: str
) -> None:
    for n in range(6):
        ada = await fill(digitwin_db, f"ada{n}@example.com")
        await digitwin_db.privacy.erase(ada.id, reason="x")
    asked: Counter[object] = Counter()

    async def hook(artifact: Artifact) -> None:
        asked[artifact.id] += 1
        await asyncio.sleep(0.02)

    async with digitwin.connect(digitwin_url, migrate="skip") as other:
        for db in (digitwin_db, other):
            db.privacy.artifacts.deleter = hook
        gone = await asyncio.gather(
            *(db.privacy.artifacts.deliver() for db in (digitwin_db, other) for _ in range(3))
        )
    assert sum(gone) == 12
    assert set(asked.values()) == {1}


async def test_what_another_is_claiming_is_passed_by(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    digitwin_db.privacy.artifacts.deleter = bucket = Bucket()
    async with raw.transaction():
        await raw.execute("SELECT FROM artifact_deletions WHERE kind = 'voice' FOR UPDATE")
        assert await digitwin_db.privacy.deliver() == 1
    assert bucket.addresses == [FACE]
    assert await digitwin_db.privacy.deliver() == 1


async def test_what_a_dead_instance_had_claimed_is_claimed_again(
    digitwin_db: Database, raw: asyncpg.Connection, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")

    async def hang(artifact: Artifact) -> None:
        await asyncio.Event().wait()

    digitwin_db.privacy.artifacts.deleter = hang
    monkeypatch.setattr(artifacts, "CLAIM", 0.2)
    task = asyncio.create_task(digitwin_db.privacy.artifacts.deliver())
    await until(lambda: _claimed(raw))
    task.cancel()
    await asyncio.wait([task])
    digitwin_db.privacy.on_artifact_delete(bucket := Bucket())
    await until(lambda: none_waits(digitwin_db))
    assert bucket.addresses == [FACE, ARTIFACT]


async def _claimed(raw: asyncpg.Connection) -> bool:
    return await raw.fetchval("SELECT min(attempts) = 1 FROM artifact_deletions") is True


async def test_a_claim_made_while_the_clock_was_ahead_is_taken_over(
    digitwin_db: Database, raw: asyncpg.Connection, ada: Person
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await raw.execute("UPDATE artifact_deletions SET due_at = now() + interval '1 day'")
    digitwin_db.privacy.artifacts.deleter = (bucket := Bucket())
    assert await digitwin_db.privacy.deliver() == 2
    assert bucket.addresses == [FACE, ARTIFACT]


async def test_a_row_that_somebody_else_wrote_stops_no_other(
    digitwin_db: Database, raw: asyncpg.Connection, ada: Person
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await raw.execute(
        "INSERT INTO artifact_deletions (id, kind, address, attempts)"
        " VALUES ($1, 'voice', 'dt1:x', 2147483647)",
        uuid4(),
    )
    digitwin_db.privacy.artifacts.deleter = (bucket := Bucket())
    assert await digitwin_db.privacy.deliver() == 2
    assert set(bucket.addresses) == {FACE, ARTIFACT}


async def test_a_hook_that_takes_too_long_is_given_up(
    digitwin_db: Database, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "HOOK_TIMEOUT", 0.05)
    await digitwin_db.privacy.erase(ada.id, reason="x")

    async def hang(artifact: Artifact) -> None:
        await asyncio.Event().wait()

    digitwin_db.privacy.artifacts.deleter = hang
    assert await digitwin_db.privacy.artifacts.deliver() == 0


async def test_the_hook_is_given_when_the_handle_is_opened(
    digitwin_db: Database, digitwin_url: str, ada: Person
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    bucket = Bucket()
    async with digitwin.connect(digitwin_url, migrate="skip", on_artifact_delete=bucket) as db:
        await until(lambda: none_waits(db))
    assert bucket.addresses == [FACE, ARTIFACT]


async def test_closing_does_not_wait_for_a_hook_that_hangs(
    digitwin_db: Database, digitwin_url: str, ada: Person
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    begun = asyncio.Event()

    async def hang(artifact: Artifact) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with digitwin.connect(digitwin_url, migrate="skip", on_artifact_delete=hang):
        async with asyncio.timeout(8):
            await begun.wait()
    assert not await none_waits(digitwin_db)


async def test_what_a_deletion_hid_is_deleted_there_when_it_becomes_final(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    db = await digitwin_db_factory(deletion_retention=0.001)
    ada = await fill(db)
    await db.voices.delete(ada.voice)
    await db.maintain()
    db.privacy.on_artifact_delete(bucket := Bucket())
    await until(lambda: none_waits(db))
    assert bucket.addresses == [ARTIFACT]
    await db.users.delete(ada.id)
    assert (await db.maintain()).final_deletions >= 1
    await until(lambda: none_waits(db))
    assert bucket.addresses == [FACE, ARTIFACT]
