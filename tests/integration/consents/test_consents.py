"""What a person agreed to: given, replaced, withdrawn, expired, and on record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import Consent, User

EVIDENCE = {"form": "v3", "taken_by": "Bea"}


async def trail(db: Database) -> list[tuple[str, str | None]]:
    page = await db.audit.list(resource="consent")
    return [(record.action, record.resource_id) for record in reversed(page.items)]


@pytest.mark.parametrize("purpose", ["voice", "face", "recording"])
async def test_a_consent_is_in_force_until_it_is_withdrawn(
    digitwin_db: Database, ada: User, purpose: Any
) -> None:
    consents = digitwin_db.consents
    assert await consents.in_force(ada.id, purpose=purpose) is None
    given = await consents.grant(str(ada.id), purpose=purpose, evidence=EVIDENCE)
    assert (given.user_id, given.purpose, given.evidence) == (ada.id, purpose, EVIDENCE)
    assert (given.expires_at, given.withdrawn_at) == (None, None)
    found = await consents.in_force(ada.id, purpose=purpose)
    assert found == given
    assert await consents.get(given.id) == given
    ended = await consents.withdraw(ada.id, purpose=purpose)
    assert ended.id == given.id
    assert ended.withdrawn_at is not None
    assert ended.withdrawn_at >= given.granted_at
    assert await consents.in_force(ada.id, purpose=purpose) is None


async def test_a_line_is_evidence_too(digitwin_db: Database, ada: User) -> None:
    given = await digitwin_db.consents.grant(ada.id, purpose="voice", evidence="signed on paper")
    assert (await digitwin_db.consents.get(given.id)).evidence == "signed on paper"


async def test_a_new_consent_takes_the_place_of_the_one_before(
    digitwin_db: Database, ada: User
) -> None:
    consents = digitwin_db.consents
    first = await consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    second = await consents.grant(ada.id, purpose="voice", evidence={"form": "v4"})
    other = await consents.grant(ada.id, purpose="face", evidence=EVIDENCE)
    assert await consents.in_force(ada.id, purpose="voice") == second
    kept = (await consents.list(user_id=ada.id, purpose="voice")).items
    assert [consent.id for consent in kept] == [first.id, second.id]
    assert kept[0].withdrawn_at is not None
    assert len((await consents.list()).items) == 3
    assert await consents.in_force(ada.id, purpose="face") == other


async def test_of_many_given_at_once_one_is_in_force(digitwin_db: Database, ada: User) -> None:
    await asyncio.gather(
        *(digitwin_db.consents.grant(ada.id, purpose="voice", evidence={"n": n}) for n in range(12))
    )
    kept = (await digitwin_db.consents.list()).items
    assert len(kept) == 12
    assert sum(consent.withdrawn_at is None for consent in kept) == 1


@pytest.mark.parametrize("lasts", [timedelta(days=30), 30 * 86_400, 30 * 86_400.0])
async def test_an_end_may_be_a_duration_by_the_databases_clock(
    digitwin_db: Database, ada: User, lasts: Any
) -> None:
    given = await digitwin_db.consents.grant(
        ada.id, purpose="voice", evidence=EVIDENCE, expires=lasts
    )
    assert given.expires_at is not None
    assert given.expires_at - given.granted_at == timedelta(days=30)


async def test_an_end_may_be_a_moment(digitwin_db: Database, ada: User) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    given = await digitwin_db.consents.grant(
        ada.id, purpose="voice", evidence=EVIDENCE, expires=moment
    )
    assert given.expires_at == moment


async def test_an_end_that_has_passed_is_refused_and_the_consent_before_stands(
    digitwin_db: Database, ada: User
) -> None:
    first = await digitwin_db.consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.consents.grant(
            ada.id, purpose="voice", evidence=EVIDENCE, expires=datetime(2020, 1, 1, tzinfo=UTC)
        )
    assert error.value.details["field"] == "expires"
    assert await digitwin_db.consents.in_force(ada.id, purpose="voice") == first


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("purpose", {"purpose": "sale"}),
        ("evidence", {"evidence": {}}),
        ("evidence", {"evidence": " "}),
        ("evidence", {"evidence": None}),
        ("evidence", {"evidence": {"a": float("nan")}}),
        ("expires", {"expires": datetime(2090, 1, 1)}),  # noqa: DTZ001
        ("expires", {"expires": 0}),
        ("expires", {"expires": -1}),
        ("expires", {"expires": True}),
        ("expires", {"expires": float("nan")}),
        ("expires", {"expires": "tomorrow"}),
        ("user_id", {"user_id": "ada"}),
        ("user_id", {"user_id": None}),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    digitwin_db: Database, ada: User, field: str, given: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.consents.grant(
            **{"user_id": ada.id, "purpose": "voice", "evidence": EVIDENCE, **given}
        )
    assert error.value.details["field"] == field
    assert not (await digitwin_db.consents.list()).items


async def test_other_calls_name_what_does_not_fit(digitwin_db: Database, ada: User) -> None:
    bad: Any = "sale"
    for call in (digitwin_db.consents.withdraw, digitwin_db.consents.in_force):
        with pytest.raises(InvalidInputError) as error:
            await call(ada.id, purpose=bad)
        assert error.value.details["field"] == "purpose"


async def test_withdrawing_what_was_not_given_is_not_found(
    digitwin_db: Database, ada: User
) -> None:
    for user_id in (ada.id, uuid7()):
        with pytest.raises(NotFoundError) as error:
            await digitwin_db.consents.withdraw(user_id, purpose="voice")
        assert error.value.details["purpose"] == "voice"
    assert await trail(digitwin_db) == []


async def test_a_consent_needs_a_living_person_and_a_withdrawal_does_not(
    digitwin_db: Database, ada: User
) -> None:
    await digitwin_db.consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    await digitwin_db.users.delete(ada.id)
    for user_id in (ada.id, uuid7()):
        with pytest.raises(NotFoundError) as error:
            await digitwin_db.consents.grant(user_id, purpose="voice", evidence=EVIDENCE)
        assert error.value.details["field"] == "user_id"
    await digitwin_db.consents.withdraw(ada.id, purpose="voice")
    assert [action for action, _ in await trail(digitwin_db)] == [
        "consent.grant",
        "consent.withdraw",
    ]


async def test_each_change_has_its_record_and_no_record_is_without_one(
    digitwin_db: Database, ada: User
) -> None:
    with digitwin_db.acting_as(actor_id=ada.id, ip_address="192.0.2.7", request_id="r1"):
        given = await digitwin_db.consents.grant(
            ada.id, purpose="voice", evidence=EVIDENCE, expires=3600
        )
        await digitwin_db.consents.withdraw(ada.id, purpose="voice")
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
            raise ZeroDivisionError
    id = str(given.id)
    assert await trail(digitwin_db) == [("consent.grant", id), ("consent.withdraw", id)]
    for record in (await digitwin_db.audit.list(resource="consent")).items:
        assert (record.user_id, record.actor_id, record.ip_address) == (ada.id, ada.id, "192.0.2.7")
        assert record.metadata["purpose"] == "voice"
        assert record.metadata["request_id"] == "r1"
        assert "form" not in str(record.metadata)


async def test_without_its_record_there_is_no_consent(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    await raw.execute(
        "ALTER TABLE audit_logs ADD CONSTRAINT none CHECK (action NOT LIKE 'consent.%')"
    )
    with pytest.raises(InvalidInputError):
        await digitwin_db.consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    assert not (await digitwin_db.consents.list()).items


async def test_a_scope_knows_its_own_persons_consents_alone(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    hers, his = digitwin_db.for_user(ada.id).consents, digitwin_db.for_user(bob.id).consents
    given = await hers.grant(purpose="voice", evidence=EVIDENCE)
    assert await hers.in_force(purpose="voice") == given
    assert await his.find(given.id) is None
    assert (await his.list()).items == []
    for call in (his.withdraw, his.in_force):
        with pytest.raises(NotFoundError):
            await call(ada.id, purpose="voice")
    with pytest.raises(NotFoundError):
        await his.withdraw(purpose="voice")
    assert (await hers.withdraw(purpose="voice")).id == given.id


async def test_a_consent_is_neither_made_nor_changed_nor_removed_on_the_model(
    digitwin_db: Database, ada: User
) -> None:
    given = await digitwin_db.consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    with pytest.raises(InvalidStateError, match=r"db\.consents\.grant"):
        await Consent.create(user_id=ada.id, purpose="face", evidence={"a": 1})
    given.withdrawn_at = datetime.now(UTC)
    with pytest.raises(InvalidStateError, match=r"db\.consents\.withdraw"):
        await given.save()
    with pytest.raises(InvalidStateError, match=r"db\.consents\.grant"):
        await Consent.filter(id=given.id).update(evidence={"a": 2})
    with pytest.raises(InvalidStateError):
        await (await Consent.get(id=given.id)).delete()
    assert await digitwin_db.consents.in_force(ada.id, purpose="voice") is not None


async def test_the_persons_rows_take_their_consents_along(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    for user in (ada, bob):
        await digitwin_db.consents.grant(user.id, purpose="voice", evidence=EVIDENCE)
    await digitwin_db.users.hard_delete(ada.id)
    assert [consent.user_id for consent in (await digitwin_db.consents.list()).items] == [bob.id]


async def test_one_given_while_the_clock_was_ahead_can_be_replaced_and_withdrawn(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    consents = digitwin_db.consents
    ahead = "UPDATE consents SET granted_at = granted_at + interval '1 day'"
    await consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    await raw.execute(ahead)
    given = await consents.grant(ada.id, purpose="voice", evidence=EVIDENCE)
    await raw.execute(f"{ahead} WHERE id = $1", given.id)
    assert (await consents.withdraw(ada.id, purpose="voice")).id == given.id
    assert await consents.in_force(ada.id, purpose="voice") is None
