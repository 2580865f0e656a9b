"""A person leaves the trail, and what happened stays in it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from digitwin import uuid7
from digitwin.audit import erasure
from digitwin.audit.erasure import PSEUDONYM_VERSION, new_pseudonym, pseudonymise
from digitwin.database import Database
from digitwin.errors import DigiTwinError

SHE, OTHER = uuid7(), uuid7()
FROM = {"ip_address": "192.0.2.7", "user_agent": "agent"}


async def erase(db: Database, pseudonym: UUID | None = None) -> int:
    async with db._core.aside.transaction() as tx:
        return await pseudonymise(tx, SHE, pseudonym=pseudonym)


async def record(db: Database, **details: Any) -> dict[str, Any]:
    """What is left of such a record once she was erased."""
    id = await db.audit.record("did", "thing", **details)
    assert await erase(db, NOBODY) == 1
    [left] = [row async for row in db.audit.export() if row["id"] == str(id)]
    return left


NOBODY = new_pseudonym()


def test_a_pseudonym_cannot_be_a_persons_id() -> None:
    assert {new_pseudonym().version for _ in range(100)} == {PSEUDONYM_VERSION}
    assert len({new_pseudonym() for _ in range(100)}) == 100


async def test_a_record_about_the_person_is_nobodys(digitwin_db: Database) -> None:
    left = await record(
        digitwin_db, user_id=SHE, actor_id=SHE, resource_id="her", metadata={"a": 1}, **FROM
    )
    assert (left["action"], left["resource"], left["result"]) == ("did", "thing", "success")
    assert left["user_id"] == left["actor_id"] == str(NOBODY)
    assert [left[name] for name in ("resource_id", "ip_address", "user_agent")] == [None] * 3
    assert left["metadata"] == {}


async def test_a_record_by_the_person_keeps_whom_it_concerned(digitwin_db: Database) -> None:
    left = await record(
        digitwin_db, user_id=OTHER, actor_id=SHE, resource_id="his", metadata={"a": 1}, **FROM
    )
    assert (left["user_id"], left["actor_id"]) == (str(OTHER), str(NOBODY))
    assert (left["ip_address"], left["user_agent"]) == (None, None)
    assert (left["resource_id"], left["metadata"]) == ("his", {"a": 1})


async def test_another_actor_stays(digitwin_db: Database) -> None:
    left = await record(digitwin_db, user_id=SHE, actor_id=OTHER, resource_id="her", **FROM)
    assert (left["user_id"], left["actor_id"]) == (str(NOBODY), str(OTHER))
    assert (left["ip_address"], left["user_agent"]) == tuple(FROM.values())


async def test_a_record_that_names_no_actor_does_not_keep_where_it_came_from(
    digitwin_db: Database,
) -> None:
    left = await record(digitwin_db, user_id=SHE, **FROM)
    assert (left["ip_address"], left["user_agent"]) == (None, None)


async def test_a_record_that_names_the_person_does_so_no_more(digitwin_db: Database) -> None:
    left = await record(
        digitwin_db, actor_id=OTHER, resource_id=SHE, metadata={"email": "x"}, **FROM
    )
    assert (left["resource_id"], left["metadata"]) == (None, {})
    assert (left["actor_id"], left["ip_address"]) == (str(OTHER), FROM["ip_address"])


async def test_others_records_and_times_stay(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("his", "thing", user_id=OTHER, actor_id=OTHER, **FROM)
    await digitwin_db.audit.record("hers", "thing", user_id=SHE)
    before = [row async for row in digitwin_db.audit.export()]
    assert await erase(digitwin_db) == 1
    after = [row async for row in digitwin_db.audit.export()]
    assert after[0] == before[0]
    assert [row["created_at"] for row in after] == [row["created_at"] for row in before]


async def test_more_than_one_statement_takes(
    digitwin_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "BATCH", 2)
    for _ in range(5):
        await digitwin_db.audit.record("did", "thing", user_id=SHE, actor_id=SHE)
    assert await erase(digitwin_db) == 5
    assert await erase(digitwin_db) == 0


async def test_what_is_rolled_back_never_happened(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("did", "thing", user_id=SHE)
    with pytest.raises(asyncio.CancelledError):
        async with digitwin_db._core.aside.transaction() as tx:
            await pseudonymise(tx, SHE)
            raise asyncio.CancelledError
    assert [row.user_id for row in (await digitwin_db.audit.list()).items] == [SHE]


async def test_the_door_is_closed_behind_it(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("did", "thing", user_id=SHE)
    with pytest.raises(DigiTwinError, match="refused"):
        async with digitwin_db._core.aside.transaction() as tx:
            await pseudonymise(tx, SHE)
            await tx.execute("DELETE FROM audit_logs")
