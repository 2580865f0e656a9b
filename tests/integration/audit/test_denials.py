"""Refusals are on record although what was refused is rolled back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import DigiTwinError, InvalidStateError, NotFoundError, ScopeRequiredError
from digitwin.handle.scopes import UserScope
from digitwin.kernel.execution import audit_records
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import AuditLog, User, VoiceModel


@pytest.fixture
async def voice(digitwin_db: Database, ada: User) -> VoiceModel:
    return await digitwin_db.voices.create(user_id=ada.id, name="V", status="ready")


@pytest.fixture
async def ben(digitwin_db: Database) -> UserScope:
    made = await digitwin_db.users.create(email="ben@example.com", name="Ben")
    return digitwin_db.for_user(made.id)


async def denials() -> list[AuditLog]:
    return await AuditLog.filter(result="denied").order_by("id")


Use = Callable[[UserScope, User, VoiceModel], Awaitable[Any]]
USES: dict[str, Use] = {
    "user.get": lambda ben, ada, _: ben.users.get(ada.id),
    "user.update": lambda ben, ada, _: ben.users.update(ada.id, name="B"),
    "user.delete": lambda ben, ada, _: ben.users.delete(ada.id),
    "voice_model.get": lambda ben, _, voice: ben.voices.get(voice.id),
    "voice_model.activate": lambda ben, _, voice: ben.voices.activate(voice.id),
    "voice_model.list": lambda ben, ada, _: ben.voices.list(user_id=ada.id),
    "session.start": lambda ben, ada, _: ben.sessions.start(ada.id),
    "session.add_turn": lambda ben, ada, voice: ben.sessions.add_turn(voice.id, user_text="hi"),
    "session.delete": lambda ben, _, voice: ben.sessions.delete(voice.id),
    "document.hard_delete": lambda ben, _, voice: ben.documents.hard_delete(voice.id),
}


@pytest.mark.parametrize("action", sorted(USES))
async def test_anothers_id_under_a_scope_is_on_record(
    ben: UserScope, ada: User, voice: VoiceModel, action: str
) -> None:
    actor = uuid7()
    acting = ben.acting_as(actor_id=actor, ip_address="192.0.2.7", request_id="r-1")
    with acting, pytest.raises(NotFoundError):
        await USES[action](ben, ada, voice)
    [record] = await denials()
    assert (record.action, record.resource) == (action, action.partition(".")[0])
    assert (record.user_id, record.actor_id, record.ip_address) == (ben.user_id, actor, "192.0.2.7")
    assert record.resource_id in (str(ada.id), str(voice.id))
    assert record.metadata["request_id"] == "r-1"
    assert record.metadata["code"] == "not_found"


async def test_a_stream_of_anothers_rows_is_on_record(ben: UserScope, ada: User) -> None:
    with pytest.raises(NotFoundError):
        async for _ in ben.documents.stream(user_id=ada.id):
            pass
    assert [record.action for record in await denials()] == ["document.stream"]


async def test_it_outlives_the_refused_transaction(
    digitwin_db: Database, ben: UserScope, ada: User
) -> None:
    with pytest.raises(NotFoundError):
        async with ben.transaction():
            await ben.documents.create(title="T", content="c")
            await ben.users.get(ada.id)
    assert await digitwin_db.documents.count() == 0
    assert await AuditLog.filter(action="document.create").count() == 0
    assert [record.action for record in await denials()] == ["user.get"]


async def test_without_a_scope_what_is_missing_is_only_missing(
    digitwin_db: Database, ben: UserScope
) -> None:
    with pytest.raises(NotFoundError):
        await digitwin_db.users.get(uuid7())
    assert await ben.users.find(uuid7()) is None
    await digitwin_db.users.delete(ben.user_id)
    with pytest.raises(NotFoundError):  # one's own, which is deleted
        await ben.users.get(ben.user_id)
    assert await denials() == []


async def test_what_is_missing_and_what_is_anothers_leave_the_same(
    ben: UserScope, voice: VoiceModel
) -> None:
    for id in (voice.id, uuid7()):
        with pytest.raises(NotFoundError):
            await ben.voices.get(id)
    told = [(record.action, record.metadata) for record in await denials()]
    assert len(told) == 2
    assert told[0] == told[1]


class Part:
    """Something of a handle that is refused for the reason it is given."""

    def __init__(self, core: Core, error: DigiTwinError) -> None:
        self._core, self._error = core, error

    @operation
    async def inner(self) -> None:
        raise self._error

    @operation
    async def outer(self) -> None:
        await self.inner()


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (ScopeRequiredError(), 1),
        (InvalidStateError("The database refuses this", sqlstate="42501"), 1),
        (InvalidStateError("The session has ended"), 0),
        (NotFoundError("user not found"), 0),
    ],
)
async def test_a_refusal_is_recorded_once_and_nothing_else_is(
    digitwin_db: Database, error: DigiTwinError, times: int
) -> None:
    with pytest.raises(type(error)):
        await Part(digitwin_db._core, error).outer()
    assert [record.action for record in await denials()] == ["Part.inner"] * times


async def test_a_handle_that_wants_scopes_records_who_names_none(
    digitwin_db: Database, digitwin_url: str
) -> None:
    import digitwin

    async with digitwin.connect(digitwin_url, scope="required") as db:
        with pytest.raises(ScopeRequiredError):
            await db.users.get(uuid7())
    with digitwin_db.activate():
        assert [record.action for record in await denials()] == ["user.get"]


async def test_what_cannot_be_recorded_is_refused_all_the_same(
    ben: UserScope, ada: User, raw: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await raw.execute(
        "ALTER TABLE audit_logs ADD CONSTRAINT ck_audit_logs__closed CHECK (false) NOT VALID"
    )
    with caplog.at_level(logging.ERROR, "digitwin.audit"), pytest.raises(NotFoundError):
        await ben.users.get(ada.id)
    assert "The denied call user.get could not be recorded" in caplog.text


async def test_nobody_waits_long_for_the_record_of_a_refusal(
    ben: UserScope,
    ada: User,
    raw: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(audit_records, "RECORD_TIMEOUT", 0.2)
    async with asyncio.timeout(5), raw.transaction():
        await raw.execute("LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(NotFoundError):
            await ben.users.get(ada.id)
    assert "could not be recorded" in caplog.text
