"""Policies decide by the person's tier, as it is at that moment."""

from __future__ import annotations

import json
from uuid import uuid4

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.limits.decision import Ask
from digitwin.models import User
from digitwin.policies import Policy
from digitwin.testing import DatabaseFactory
from tests.integration.limits.conftest import MONTH, gathered

DAY = 86_400
POLICIES = (
    Policy("/chat", 5, DAY),
    Policy("/chat", 50, DAY, "pro"),
    Policy("/chat", 60, MONTH),
    Policy("/voice", 3, DAY, "free"),
)


@pytest.fixture
async def db(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(digitwin_url, policies=POLICIES)


@pytest.fixture
async def ada(db: Database) -> User:
    return await db.users.create(email="ada@example.com", name="Ada")


async def test_every_policy_that_applies_must_pass(db: Database, ada: User) -> None:
    joint = await db.limits.check(ada.id, "/chat")
    assert joint
    assert joint.asks == (Ask(str(ada.id), "/chat", 5, DAY), Ask(str(ada.id), "/chat", 60, MONTH))
    assert [each.remaining for each in joint] == [4, 59]

    assert await db.limits.check(str(ada.id), "/chat", 4)
    refused = await db.limits.check(ada.id, "/chat", cost=2)
    assert not refused
    assert refused.refused == (Ask(str(ada.id), "/chat", 5, DAY, 2),)
    assert [each.remaining for each in refused] == [0, 55]


async def test_a_changed_tier_counts_at_once(db: Database, ada: User) -> None:
    """And the bucket stays as full as it was: one of five left is ten of fifty."""
    assert (await db.limits.check(ada.id, "/chat", 4)).remaining == 1
    await db.users.update(ada.id, subscription_tier="pro")
    assert [each.limit for each in await db.limits.check(ada.id, "/chat")] == [50, 60]
    assert [each.remaining for each in await db.limits.check(ada.id, "/chat")] == [8, 54]
    await db.users.update(ada.id, subscription_tier="free")
    assert (await db.limits.check(ada.id, "/chat"))[0].limit == 5


async def test_a_tier_that_no_policy_names_has_what_everybody_has(db: Database, ada: User) -> None:
    await db.users.update(ada.id, subscription_tier="enterprise")
    assert [each.limit for each in await db.limits.check(ada.id, "/chat")] == [5, 60]


async def test_a_tier_without_a_policy_is_not_limited(db: Database, ada: User) -> None:
    for _ in range(3):
        assert await db.limits.check(ada.id, "/voice")
    assert not await db.limits.check(ada.id, "/voice")
    await db.users.update(ada.id, subscription_tier="enterprise")
    joint = await db.limits.check(ada.id, "/voice")
    assert joint
    assert (len(joint), joint.remaining, joint.retry_after) == (0, None, 0)


async def test_people_do_not_share_a_budget(db: Database, ada: User) -> None:
    bob = await db.users.create(email="bob@example.com", name="Bob")
    await db.limits.check(ada.id, "/chat", 5)
    assert await db.limits.check(bob.id, "/chat", 5)


async def test_it_is_the_bucket_of_consume(db: Database, ada: User) -> None:
    await db.limits.check(ada.id, "/chat", 3)
    assert (await db.limits.peek(ada.id, "/chat", limit=5, window=DAY)).remaining == 2
    assert await db.limits.reset(ada.id, "/chat") == 2
    assert await db.limits.check(ada.id, "/chat", 5)


async def test_who_is_not_there_is_not_found(
    db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    await db.users.delete(ada.id)
    for nobody in (ada.id, uuid4()):
        with pytest.raises(NotFoundError) as missing:
            await db.limits.check(nobody, "/chat")
        assert missing.value.details["user_id"] == str(nobody)
    assert await raw.fetchval("SELECT count(*) FROM rate_limits") == 0


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("user_id", ("ada", "/chat")),
        ("user_id", (None, "/chat")),
        ("endpoint", (uuid4(), "/chats")),
        ("endpoint", (uuid4(), None)),
        ("cost", (uuid4(), "/chat", 0)),
        ("cost", (uuid4(), "/chat", 61)),
        ("cost", (uuid4(), "/chat", True)),
    ],
)
async def test_bad_input_is_named(db: Database, field: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await db.limits.check(*arguments)  # type: ignore[arg-type]
    assert refused.value.details["field"] == field


async def test_a_cost_that_the_tier_never_admits_is_an_error_and_not_a_wait(
    db: Database, ada: User
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await db.limits.check(ada.id, "/chat", 6)
    assert (refused.value.details["field"], refused.value.details["limit"]) == ("cost", 5)
    assert (await db.limits.check(ada.id, "/chat")).remaining == 4
    await db.users.update(ada.id, subscription_tier="pro")
    assert await db.limits.check(ada.id, "/chat", 6)


async def test_at_once_exactly_as_many_pass_as_the_policies_say(
    db: Database, ada: User, digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    other = await digitwin_db_factory(digitwin_url, policies=POLICIES)
    joints = await gathered(
        each.limits.check(ada.id, "/chat") for each in (db, other) for _ in range(30)
    )
    assert sum(map(bool, joints)) == 5
    assert (await db.limits.peek(ada.id, "/chat", limit=60, window=MONTH)).remaining == 55


async def test_an_open_deletion_of_the_person_blocks_nobody(db: Database, ada: User) -> None:
    """Their tier is read without a lock."""
    async with db.transaction():
        await db.users.hard_delete(ada.id)
        assert await db.limits.check(ada.id, "/chat")


async def test_policies_from_the_environment(
    digitwin_db_factory: DatabaseFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = [{"endpoint": "/chat", "limit": 2, "window": DAY, "tier": "free"}]
    monkeypatch.setenv("DIGITWIN_POLICIES", json.dumps(policies))
    db = await digitwin_db_factory()
    ada = await db.users.create(email="ada@example.com", name="Ada")
    assert [bool(await db.limits.check(ada.id, "/chat")) for _ in range(3)] == [True, True, False]
