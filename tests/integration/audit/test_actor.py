"""Records say who acted, from where and in which request."""

from __future__ import annotations

import asyncio

from digitwin.audit.models import AuditLog
from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7


async def test_a_record_takes_who_acts_from_around_it(digitwin_db: Database) -> None:
    ada = uuid7()
    with digitwin_db.acting_as(
        actor_id=ada, ip_address="192.0.2.7", user_agent="curl/8", request_id="r-1"
    ):
        id = await digitwin_db.audit.record("a.b", "a", metadata={"more": 1})
    record = await AuditLog.get(id=id)
    assert (record.actor_id, record.ip_address, record.user_agent) == (ada, "192.0.2.7", "curl/8")
    assert record.metadata == {"request_id": "r-1", "more": 1}


async def test_what_a_record_says_itself_goes_before(digitwin_db: Database) -> None:
    with digitwin_db.acting_as(actor_id=uuid7(), ip_address="192.0.2.7", request_id="r-1"):
        id = await digitwin_db.audit.record(
            "a.b", "a", actor_id=None, ip_address="192.0.2.8", metadata={"request_id": "r-2"}
        )
    record = await AuditLog.get(id=id)
    assert (record.actor_id, record.ip_address) == (None, "192.0.2.8")
    assert record.metadata == {"request_id": "r-2"}


async def test_records_of_simultaneous_tasks_do_not_mix(digitwin_db: Database) -> None:
    async def request(n: int) -> bool:
        async with digitwin_db.for_user(uuid7()).acting_as(request_id=f"r-{n}"):
            ids = await digitwin_db.audit.record_many([{"action": "a", "resource": "b"}] * 2)
        rows = await AuditLog.filter(id__in=ids)
        return all(row.metadata == {"request_id": f"r-{n}"} for row in rows)

    assert all(await asyncio.gather(*map(request, range(8))))
