"""Sealing with the rights of a service alone, and beside an erasure as a person asks for it."""

from __future__ import annotations

import asyncpg
import pytest

import digitwin
from digitwin import uuid7
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.kernel.connection import scopes
from tests.integration.scopes.test_row_security import a_login


async def test_a_services_login_seals_and_verifies(
    digitwin_db: Database, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    """It sees who is open, others' transactions too, and waits for them."""
    await digitwin_db.audit.record("before", "test")
    async with (
        a_login(digitwin_url, scopes.APPLICATION, scopes.SERVICE) as url,
        digitwin.connect(url, migrate="check") as service,
    ):
        transaction = raw.transaction()
        await transaction.start()
        await service.audit.record("during", "test")
        assert await service.audit.seal() == 2
        assert await raw.fetchval("SELECT horizon FROM audit_seals") is None
        await raw.execute(
            "INSERT INTO audit_logs (id, action, resource) VALUES ($1, 'late', 'test')", uuid7()
        )
        await transaction.commit()
        assert await service.audit.seal() == 1
        seen = await service.audit.verify()
        assert (seen.ok, seen.sealed) == (True, 3), seen.faults
        assert (await service.health()).audit_unsealed_seconds == 0
        with pytest.raises(DigiTwinError):
            await service._core.aside.execute("DELETE FROM audit_seals")
        with pytest.raises(DigiTwinError):
            await service._core.aside.execute("UPDATE audit_leaves SET place = place + 1")


async def test_a_reading_login_does_not_seal(digitwin_db: Database, digitwin_url: str) -> None:
    await digitwin_db.audit.record("before", "test")
    async with (
        a_login(digitwin_url, "digitwin_audit") as url,
        digitwin.connect(url, migrate="check") as auditor,
    ):
        with pytest.raises(DigiTwinError):
            await auditor.audit.seal()
        assert (await auditor.audit.verify()).ok


async def test_the_trail_verifies_after_a_person_was_erased(digitwin_db: Database) -> None:
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada Lovelace")
    with digitwin_db.acting_as(actor_id=ada.id, ip_address="192.0.2.7"):
        await digitwin_db.users.update(ada.id, name="Ada King")
    await digitwin_db.audit.seal()
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    seen = await digitwin_db.audit.verify()
    assert (seen.ok, seen.erased) == (True, 2), seen.faults
    await digitwin_db.audit.seal()
    assert (await digitwin_db.audit.verify()).ok
    told = [str(row) async for row in digitwin_db.audit.export(after="0:0")]
    assert not [row for row in told if "Ada" in row or str(ada.id) in row or "192.0.2.7" in row]
