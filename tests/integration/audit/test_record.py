"""What goes into the trail, and what is kept out of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import NOBODY, uuid7

ADA, BOB = uuid7(), uuid7()


async def test_a_record_comes_back_as_it_was_given(digitwin_db: Database) -> None:
    id = await digitwin_db.audit.record(
        "user.restore",
        "user",
        resource_id=ADA,
        actor_id=str(BOB),
        user_id=ADA,
        result="failure",
        ip_address="192.0.2.7",
        user_agent="curl/8",
        metadata={"reason": "asked", "tries": 2},
    )
    [found] = (await digitwin_db.audit.list()).items
    assert found.id == id
    assert (found.action, found.resource, found.resource_id) == ("user.restore", "user", str(ADA))
    assert (found.actor_id, found.user_id, found.result) == (BOB, ADA, "failure")
    assert (found.ip_address, found.user_agent) == ("192.0.2.7", "curl/8")
    assert found.metadata == {"reason": "asked", "tries": 2}


async def test_what_is_left_out_is_success_about_nobody_by_nobody(digitwin_db: Database) -> None:
    await digitwin_db.audit.record("service.start", "service")
    [found] = (await digitwin_db.audit.list()).items
    assert (found.user_id, found.actor_id, found.result) == (NOBODY, None, "success")
    assert (found.ip_address, found.user_agent, found.metadata) == (None, None, {})


@pytest.mark.parametrize(
    "given", ["2001:DB8:0:0::1", "2001:db8::1", ip_address("2001:db8::1")], ids=str
)
async def test_an_address_has_one_spelling(digitwin_db: Database, given: Any) -> None:
    await digitwin_db.audit.record("login", "user", ip_address=given)
    [found] = (await digitwin_db.audit.list()).items
    assert found.ip_address == "2001:db8::1"


async def test_a_record_goes_with_its_transaction(digitwin_db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with digitwin_db.transaction():
            await digitwin_db.audit.record("user.delete", "user")
            raise RuntimeError
    assert (await digitwin_db.audit.list()).items == []


async def test_a_record_stays_with_its_transaction(digitwin_db: Database) -> None:
    async with digitwin_db.transaction():
        id = await digitwin_db.audit.record("user.delete", "user")
    assert [found.id for found in (await digitwin_db.audit.list()).items] == [id]


TOO_MUCH: list[tuple[str, Any]] = [
    ("action", ""),
    ("action", "a" * 101),
    ("resource", "two\nlines"),
    ("resource_id", "r" * 201),
    ("resource_id", 7),
    ("actor_id", "ada"),
    ("user_id", 12),
    ("result", "maybe"),
    ("ip_address", "192.0.2"),
    ("ip_address", 3221225991),
    ("user_agent", "u" * 1001),
    ("user_agent", "NUL \0"),
    ("user_agent", "lone \ud800"),
    ("metadata", ["no", "object"]),
    ("metadata", {"n": float("nan")}),
    ("metadata", {"text": "\0"}),
    ("colour", "red"),
]


@pytest.mark.parametrize(("field", "value"), TOO_MUCH)
async def test_what_does_not_fit_is_refused_by_name(
    digitwin_db: Database, field: str, value: Any
) -> None:
    given = {"action": "login", "resource": "user", field: value}
    with pytest.raises(InvalidInputError) as refused:
        await digitwin_db.audit.record(**given)
    assert refused.value.details["field"] == field
    assert (await digitwin_db.audit.list()).items == []


async def test_many_records_keep_their_order(digitwin_db: Database) -> None:
    ids = await digitwin_db.audit.record_many(
        {"action": f"step {n}", "resource": "import", "metadata": {"n": n}} for n in range(700)
    )
    found = (await digitwin_db.audit.list(limit=1000)).items
    assert [record.id for record in found] == list(reversed(ids))
    assert [record.metadata["n"] for record in reversed(found)] == list(range(700))


async def test_many_records_go_in_together_or_not_at_all(digitwin_db: Database) -> None:
    good: dict[str, Any] = {"action": "a", "resource": "r"}
    with pytest.raises(InvalidInputError):
        await digitwin_db.audit.record_many([good, good | {"result": "maybe"}])  # type: ignore[list-item]
    assert (await digitwin_db.audit.list()).items == []


async def test_no_records_are_no_statement(digitwin_db: Database) -> None:
    assert list(await digitwin_db.audit.record_many([])) == []


async def test_too_many_records_at_once_are_refused(digitwin_db: Database) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await digitwin_db.audit.record_many([{"action": "a", "resource": "r"}] * 10_001)
    assert refused.value.details == {"field": "entries", "limit": 10_000}


async def test_an_id_tells_when_its_record_was_made(digitwin_db: Database) -> None:
    id = await digitwin_db.audit.record("login", "user")
    [found] = (await digitwin_db.audit.list()).items
    assert isinstance(id, UUID)
    assert abs((id.int >> 80) / 1000 - found.created_at.timestamp()) < 60
