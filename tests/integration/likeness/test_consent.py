"""No model is active without its owner's consent, whatever happens at once."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import ConsentRequiredError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.likeness.conftest import Make, active_ids
from tests.support.waiting import UntilWaiting

ROUNDS = 15


@pytest.fixture
def purpose(kind: str) -> Any:
    return kind.removesuffix("s")


@pytest.fixture
async def cleo(digitwin_db: Database) -> User:
    """Somebody who has agreed to nothing."""
    return await digitwin_db.users.create(email="cleo@example.com", name="Cleo")


async def end_time_of_consents(raw: asyncpg.Connection) -> None:
    """As if their time had passed."""
    await raw.execute(
        "UPDATE consents SET granted_at = granted_at - interval '2 hours',"
        " expires_at = now() - interval '1 second' WHERE withdrawn_at IS NULL"
    )


async def test_without_consent_nothing_becomes_active(
    digitwin_db: Database, models: Any, make: Make, cleo: User, purpose: Any
) -> None:
    model = await make(user_id=cleo.id)
    row = {"user_id": cleo.id, "name": "Warm", "status": "ready", "is_active": True}
    for call in (models.activate(model.id), models.create(**row), models.create_many([row])):
        with pytest.raises(ConsentRequiredError) as error:
            await call
        assert error.value.details == {"purpose": purpose, "user_id": str(cleo.id)}
        assert f'purpose="{purpose}"' in error.value.message
    assert await active_ids(models) == []
    assert await models.count() == 1
    await digitwin_db.consents.grant(cleo.id, purpose=purpose, evidence="said so")
    assert (await models.activate(model.id)).is_active
    assert (await models.create(**row)).is_active


async def test_a_consent_to_something_else_or_of_somebody_else_does_not_do(
    digitwin_db: Database, models: Any, make: Make, cleo: User, ada: User, purpose: Any
) -> None:
    model = await make(user_id=cleo.id)
    others: set[Any] = {"voice", "face", "recording"} - {purpose}
    for other in others:
        await digitwin_db.consents.grant(cleo.id, purpose=other, evidence="said so")
    with pytest.raises(ConsentRequiredError):
        await models.activate(model.id)


async def test_a_withdrawal_deactivates_at_once(
    digitwin_db: Database, models: Any, make: Make, ada: User, bob: User, purpose: Any
) -> None:
    model, other = await make(is_active=True), await make(user_id=bob.id, is_active=True)
    await digitwin_db.consents.withdraw(ada.id, purpose=purpose)
    assert await models.active_for(ada.id) is None
    assert await active_ids(models) == [other.id]
    assert (await models.get(model.id)).version == model.version + 1
    with pytest.raises(ConsentRequiredError):
        await models.activate(model.id)


async def test_a_withdrawal_that_is_rolled_back_leaves_it_active(
    digitwin_db: Database, models: Any, make: Make, ada: User, purpose: Any
) -> None:
    model = await make(is_active=True)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.consents.withdraw(ada.id, purpose=purpose)
            raise ZeroDivisionError
    assert await active_ids(models) == [model.id]


async def test_a_deleted_model_comes_back_inactive_after_a_withdrawal(
    digitwin_db: Database, models: Any, make: Make, ada: User, purpose: Any
) -> None:
    model = await make(is_active=True)
    await models.delete(model.id)
    await digitwin_db.consents.withdraw(ada.id, purpose=purpose)
    await digitwin_db.consents.grant(ada.id, purpose=purpose, evidence="anew")
    assert not (await models.restore(model.id)).is_active


async def test_a_deleted_model_comes_back_inactive_where_the_consent_ran_out(
    raw: asyncpg.Connection, models: Any, make: Make
) -> None:
    model = await make(is_active=True)
    await models.delete(model.id)
    await end_time_of_consents(raw)
    assert not (await models.restore(model.id)).is_active


async def test_a_person_restored_after_a_withdrawal_has_nothing_active(
    digitwin_db: Database, models: Any, make: Make, ada: User, purpose: Any
) -> None:
    await make(is_active=True)
    await digitwin_db.users.delete(ada.id)
    await digitwin_db.consents.withdraw(ada.id, purpose=purpose)
    await digitwin_db.users.restore(ada.id)
    assert await active_ids(models) == []
    assert await models.count() == 1


async def test_what_a_consent_that_ran_out_allowed_is_not_shown_and_then_deactivated(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    models: Any,
    make: Make,
    ada: User,
    bob: User,
    purpose: Any,
) -> None:
    model = await make(is_active=True)
    gone = await make(user_id=bob.id, is_active=True)
    await models.delete(gone.id)
    assert (await digitwin_db.maintain()).expired_consents == 0
    await end_time_of_consents(raw)
    assert await models.active_for(ada.id) is None
    assert await digitwin_db.consents.in_force(ada.id, purpose=purpose) is None
    with pytest.raises(ConsentRequiredError):
        await models.activate(model.id)
    assert (await digitwin_db.maintain()).expired_consents == 2
    assert await active_ids(models, include_deleted=True) == []
    assert (await digitwin_db.maintain()).expired_consents == 0


async def test_a_new_consent_shows_what_the_old_one_allowed(
    digitwin_db: Database, raw: asyncpg.Connection, models: Any, make: Make, ada: User, purpose: Any
) -> None:
    model = await make(is_active=True)
    await end_time_of_consents(raw)
    await digitwin_db.consents.grant(ada.id, purpose=purpose, evidence="anew", expires=60)
    assert (await models.active_for(ada.id)).id == model.id
    assert (await digitwin_db.maintain()).expired_consents == 0


async def test_a_renewal_beside_the_maintenance_keeps_the_model_active(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    models: Any,
    make: Make,
    ada: User,
    purpose: Any,
    until_waiting: UntilWaiting,
) -> None:
    """The maintenance found the old consent, waited for its turn, and then found the new one."""
    model = await make(is_active=True)
    await end_time_of_consents(raw)
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def maintenance() -> None:
            await begun.wait()
            assert (await digitwin_db.maintain()).expired_consents == 0

        tasks.create_task(maintenance())
        async with digitwin_db.transaction():
            await digitwin_db.consents.grant(ada.id, purpose=purpose, evidence="anew")
            begun.set()
            await until_waiting()
    assert await active_ids(models) == [model.id]


async def test_withdrawals_beside_activations_never_leave_one_active(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    digitwin_db: Database,
    kind: str,
    models: Any,
    make: Make,
    ada: User,
    purpose: Any,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    made = [(await make()).id for _ in range(3)]
    row = {"user_id": ada.id, "name": "Warm", "status": "ready", "is_active": True}
    for n in range(ROUNDS):
        await digitwin_db.consents.grant(ada.id, purpose=purpose, evidence={"n": n})
        calls = [
            *(getattr(other, kind).activate(id) for id in made),
            models.activate(made[n % 3]),
            models.create(**row),
        ]
        calls.insert(n % 6, digitwin_db.consents.withdraw(ada.id, purpose=purpose))
        results = await asyncio.gather(*calls, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(failure, ConsentRequiredError) for failure in failures), failures
        assert await active_ids(models) == []


async def test_a_withdrawal_waits_for_the_activation_before_it_and_undoes_it(
    digitwin_db: Database,
    models: Any,
    make: Make,
    ada: User,
    purpose: Any,
    until_waiting: UntilWaiting,
) -> None:
    model = await make()
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def withdraw() -> None:
            await begun.wait()
            await digitwin_db.consents.withdraw(ada.id, purpose=purpose)

        tasks.create_task(withdraw())
        async with digitwin_db.transaction():
            await models.activate(model.id)
            begun.set()
            await until_waiting()
    assert await active_ids(models) == []


async def test_an_activation_waits_for_the_withdrawal_before_it_and_is_refused(
    digitwin_db: Database,
    models: Any,
    make: Make,
    ada: User,
    purpose: Any,
    until_waiting: UntilWaiting,
) -> None:
    model = await make()
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def activate() -> None:
            await begun.wait()
            with pytest.raises(ConsentRequiredError):
                await models.activate(model.id)

        tasks.create_task(activate())
        async with digitwin_db.transaction():
            await digitwin_db.consents.withdraw(ada.id, purpose=purpose)
            begun.set()
            await until_waiting()
    assert await active_ids(models) == []


async def test_a_consent_withdrawn_by_other_sql_waits_for_the_activation_too(
    digitwin_db: Database,
    models: Any,
    make: Make,
    ada: User,
    purpose: Any,
    until_waiting: UntilWaiting,
) -> None:
    """The activation holds the consent it rests on until it is through."""
    model = await make()
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()

        async def withdraw() -> None:
            await begun.wait()
            await digitwin_db._core.db.execute(
                "UPDATE consents SET withdrawn_at = clock_timestamp() WHERE user_id = $1"
                " AND purpose = $2",
                *(ada.id, purpose),
            )
            done.set()

        tasks.create_task(withdraw())
        async with digitwin_db.transaction():
            await models.activate(model.id)
            begun.set()
            await until_waiting()
            assert not done.is_set()


async def test_a_renewal_beside_an_activation_does_not_fail_it(
    digitwin_db: Database, models: Any, make: Make, ada: User, purpose: Any
) -> None:
    model = await make()
    for n in range(ROUNDS):
        await asyncio.gather(
            digitwin_db.consents.grant(ada.id, purpose=purpose, evidence={"n": n}),
            models.activate(model.id),
            digitwin_db.consents.grant(ada.id, purpose=purpose, evidence={"n": -n - 1}),
        )
        assert await active_ids(models) == [model.id]


async def test_withdrawals_beside_a_deletion_of_the_person_never_wait_in_a_circle(
    digitwin_db: Database, models: Any, purpose: Any
) -> None:
    for n in range(ROUNDS):
        id = uuid7()
        await digitwin_db.users.create(id=id, email=f"p{n}@example.com", name="P")
        await digitwin_db.consents.grant(id, purpose=purpose, evidence="said so")
        for _ in range(2):
            await models.create(user_id=id, name="Warm", status="ready", is_active=True)
        remove = digitwin_db.users.hard_delete if n % 2 else digitwin_db.users.delete
        results = await asyncio.gather(
            digitwin_db.consents.withdraw(id, purpose=purpose), remove(id), return_exceptions=True
        )
        assert [r for r in results[1:] if isinstance(r, BaseException)] == []
        assert await active_ids(models) == []
