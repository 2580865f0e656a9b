"""A model's status goes only where the life of a model goes."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError, StaleVersionError
from digitwin.kernel.primitives.ids import uuid7
from tests.integration.likeness.conftest import Make
from tests.support.waiting import UntilWaiting

ALLOWED = {
    ("pending", "training"),
    ("pending", "ready"),
    ("pending", "failed"),
    ("training", "ready"),
    ("training", "failed"),
    ("training", "pending"),
    ("ready", "training"),
    ("failed", "pending"),
    ("failed", "training"),
}
STATUSES = ("pending", "training", "ready", "failed")
STEPS = [step for step in product(STATUSES, STATUSES) if step[0] != step[1]]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_model_may_begin_at_any_status(make: Make, status: str) -> None:
    assert (await make(status=status)).status == status


@pytest.mark.parametrize(("old", "new"), [step for step in STEPS if step in ALLOWED])
async def test_a_step_that_leads_on_is_taken(models: Any, make: Make, old: str, new: str) -> None:
    model = await make(status=old)
    assert (await models.update(model.id, status=new, name="New")).status == new
    assert (await models.get(model.id)).status == new


@pytest.mark.parametrize(("old", "new"), [step for step in STEPS if step not in ALLOWED])
async def test_an_impossible_step_changes_nothing(
    models: Any, make: Make, old: str, new: str
) -> None:
    model = await make(status=old)
    with pytest.raises(InvalidStateError) as error:
        await models.update(model.id, status=new, name="New")
    assert error.value.details["status"] == old
    now = await models.get(model.id)
    assert (now.status, now.name, now.version) == (old, "Warm", 1)


@pytest.mark.parametrize("status", STATUSES)
async def test_the_status_it_has_is_no_step(models: Any, make: Make, status: str) -> None:
    model = await make(status=status)
    assert (await models.update(model.id, status=status, name="New")).name == "New"


async def test_the_active_model_stays_ready(models: Any, make: Make) -> None:
    model = await make(is_active=True)
    with pytest.raises(InvalidStateError, match="active"):
        await models.update(model.id, status="training")
    assert (await models.update(model.id, status="ready", name="New")).is_active
    await models.deactivate(model.id)
    assert (await models.update(model.id, status="training")).status == "training"


async def test_whoever_knows_an_older_version_hears_that_first(models: Any, make: Make) -> None:
    """They may believe that the step is possible: they have seen another status."""
    model = await make(status="training")
    await models.update(model.id, status="ready")
    with pytest.raises(StaleVersionError):
        await models.update(model.id, expected_version=1, status="failed")
    with pytest.raises(InvalidStateError):
        await models.update(model.id, expected_version=2, status="failed")


async def test_bad_input_is_refused_before_the_step_is_judged(models: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        await models.update(uuid7(), status="ready", quality_score=2.0)
    assert error.value.details["field"] == "quality_score"


async def test_a_step_of_a_model_that_is_missing_is_not_found(models: Any) -> None:
    with pytest.raises(NotFoundError):
        await models.update(uuid7(), status="ready")


async def test_two_steps_at_once_follow_each_other(
    digitwin_db: Database, models: Any, make: Make, until_waiting: UntilWaiting
) -> None:
    """The second is judged by what the first has made of the model."""
    model = await make(status="training")
    started = asyncio.Event()

    async def second() -> None:
        await started.wait()
        with pytest.raises(InvalidStateError):
            await models.update(model.id, status="pending")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(second())
        async with digitwin_db.transaction():
            await models.update(model.id, status="ready")
            started.set()
            await until_waiting()
    assert (await models.get(model.id)).status == "ready"


async def test_a_model_is_not_activated_while_it_leaves_ready(
    digitwin_db: Database, models: Any, make: Make, until_waiting: UntilWaiting
) -> None:
    model = await make()
    started = asyncio.Event()

    async def activate() -> None:
        await started.wait()
        with pytest.raises(InvalidStateError):
            await models.activate(model.id)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(activate())
        async with digitwin_db.transaction():
            await models.update(model.id, status="training")
            started.set()
            await until_waiting()
    assert await models.active_for(model.user_id) is None
