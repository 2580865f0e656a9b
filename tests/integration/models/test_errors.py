"""Whatever goes wrong with a model, the error is one of digitwin's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tortoise.expressions import F

from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import AuditLog, SessionParticipant, User, VoiceModel
from tests.integration.models.conftest import furnish

GOING_WRONG: dict[str, tuple[Callable[[], Any], type[DigiTwinError]]] = {
    "missing": (lambda: User.get(id=uuid7()), NotFoundError),
    "missing_key": (lambda: User[uuid7()], NotFoundError),
    "missing_values": (lambda: User.get(id=uuid7()).values("id"), NotFoundError),
    "missing_list": (lambda: User.get(id=uuid7()).values_list("id"), NotFoundError),
    "missing_scope": (lambda: User.filter(name="x").get(), NotFoundError),
    "several": (lambda: VoiceModel.get(), InvalidStateError),
    "several_or_none": (lambda: VoiceModel.get_or_none(), InvalidStateError),
    "no_filter": (lambda: User.filter(nope=1), InvalidInputError),
    "no_filter_count": (lambda: User.filter(nope=1).count(), InvalidInputError),
    "no_filter_exists": (lambda: User.exists(nope=1), InvalidInputError),
    "no_filter_update": (lambda: User.filter(nope=1).update(name="x"), InvalidInputError),
    "no_filter_delete": (lambda: VoiceModel.filter(nope=1).delete(), InvalidInputError),
    "no_filter_aiter": (lambda: _collect(User.filter(nope=1)), InvalidInputError),
    "no_lookup": (lambda: User.filter(name__nope="x"), InvalidInputError),
    "no_order": (lambda: User.all().order_by("nope"), InvalidInputError),
    "no_value": (lambda: User.all().values("nope"), InvalidInputError),
    "no_list": (lambda: User.all().values_list("nope"), InvalidInputError),
    "no_only": (lambda: User.all().only("nope"), InvalidInputError),
    "no_update": (lambda: User.all().update(nope=1), InvalidInputError),
    "no_f": (lambda: User.filter(name=F("nope")), InvalidInputError),
    "no_latest": (lambda: User.latest("nope"), InvalidInputError),
    "limit": (lambda: User.all().limit(-1), InvalidInputError),
    "offset": (lambda: User.all().offset(-1), InvalidInputError),
    "slice": (lambda: User.all()[5], InvalidInputError),
    "id": (lambda: User.filter(id="no-uuid"), InvalidInputError),
    "surrogate": (lambda: User.filter(name="\ud800"), InvalidInputError),
    "nul": (lambda: User.filter(name="a\0"), InvalidInputError),
    "too_large": (lambda: User.filter(version=2**40), InvalidInputError),
    "no_owner": (
        lambda: SessionParticipant.create(user_id=uuid7(), kind="guest"),
        NotFoundError,
    ),
    "kind": (lambda: SessionParticipant.all().update(kind="robot"), InvalidInputError),
    "length": (lambda: AuditLog.create(action="x" * 101, resource="r"), InvalidInputError),
    "not_null": (lambda: AuditLog.create(resource="r"), InvalidInputError),
    "result": (lambda: AuditLog.create(action="a", resource="r", result="x"), InvalidInputError),
    "unsaved": (lambda: User(name="x").refresh_from_db(), NotFoundError),
}


async def _collect(rows: Any) -> list[Any]:
    return [row async for row in rows]


@pytest.mark.parametrize("case", GOING_WRONG)
async def test_what_goes_wrong_is_told_in_our_words(
    digitwin_db: Database, ada: User, case: str
) -> None:
    await furnish(digitwin_db, "Bob")
    await SessionParticipant.create(user_id=ada.id, kind="guest", ref="web")
    call, kind = GOING_WRONG[case]
    with pytest.raises(kind):
        await call()
    assert await User.all().count() == 2


async def test_what_is_taken_is_named(digitwin_db: Database, ada: User) -> None:
    key = {"user_id": ada.id, "kind": "guest", "ref": "web"}
    await SessionParticipant.create(**key)
    for call in (
        lambda: SessionParticipant.create(**key),
        lambda: SessionParticipant(**key).save(),
        lambda: SessionParticipant.bulk_create([SessionParticipant(**key)]),
    ):
        with pytest.raises(AlreadyExistsError) as error:
            await call()
        assert error.value.details["field"] == "ref"


async def test_a_field_of_a_new_object_that_does_not_fit_is_named(digitwin_db: Database) -> None:
    fits: dict[str, Any] = {"action": "a", "resource": "r"}
    for fields, field in (
        ({"user_id": 7}, "user_id"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"action": None}, "action"),
    ):
        with pytest.raises(InvalidInputError) as error:
            await AuditLog.create(**fits | fields)
        assert error.value.details["field"] == field


async def test_a_moment_without_its_zone_is_refused(ada: User) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for call in (
        lambda: AuditLog.create(action="a", resource="r", created_at=naive),
        lambda: AuditLog(action="a", resource="r").update_from_dict({"created_at": naive}),
    ):
        with pytest.raises(InvalidInputError) as error:
            await call()
        assert error.value.details["field"] == "created_at"
