"""What is known of a user changes, by whoever has seen it last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.users.repository import UserRepository
from tests.integration.users.conftest import ROUNDS


async def test_an_update_changes_what_is_given_and_nothing_else(users: UserRepository) -> None:
    old = await users.create(
        email="ada@example.com", name="Ada", personality_traits=["dry"], settings={"a": 1}
    )
    new = await users.update(old.id, name="Countess", subscription_tier="pro")
    assert (new.name, new.subscription_tier) == ("Countess", "pro")
    assert (new.email, new.personality_traits, new.settings) == (old.email, ["dry"], {"a": 1})
    assert new.created_at == old.created_at


async def test_settings_are_replaced_as_a_whole(users: UserRepository, ada: User) -> None:
    await users.update(ada.id, settings={"a": {"b": 1}})
    assert (await users.update(ada.id, settings={"c": 2})).settings == {"c": 2}


@pytest.mark.parametrize("changes", [{"name": "New"}, {"email": "new@example.com"}])
async def test_an_update_moves_version_and_time(
    users: UserRepository, ada: User, changes: dict[str, Any]
) -> None:
    new = await users.update(ada.id, **changes)
    assert new.version == ada.version + 1
    assert new.updated_at > ada.updated_at
    assert vars(await users.get(ada.id)) == vars(new)


@pytest.mark.parametrize("changes", [{"name": "New"}, {"email": "new@example.com"}])
async def test_a_stale_version_changes_nothing(
    users: UserRepository, ada: User, changes: dict[str, Any]
) -> None:
    now = await users.update(ada.id, name="First")
    with pytest.raises(StaleVersionError) as error:
        await users.update(ada.id, expected_version=ada.version, **changes)
    assert (error.value.details["version"], error.value.details["expected_version"]) == (2, 1)
    assert vars(await users.get(ada.id)) == vars(now)
    assert (await users.get_by_email(ada.email)).id == ada.id


@pytest.mark.parametrize("changes", [{"name": "New"}, {"email": "new@example.com"}])
async def test_the_version_that_was_read_is_the_right_one(
    users: UserRepository, ada: User, changes: dict[str, Any]
) -> None:
    assert (await users.update(ada.id, expected_version=1, **changes)).version == 2


async def test_of_two_updates_that_saw_one_version_one_is_stale(
    users: UserRepository, ada: User
) -> None:
    for version in range(1, ROUNDS + 1):
        results = await asyncio.gather(
            *(users.update(ada.id, expected_version=version, name=f"N{n}") for n in range(2)),
            return_exceptions=True,
        )
        assert sorted(type(result) for result in results if isinstance(result, Exception)) == [
            StaleVersionError
        ]
        assert (await users.get(ada.id)).version == version + 1


@pytest.mark.parametrize("changes", [{"name": "New"}, {"email": "new@example.com"}])
async def test_who_is_not_there_is_not_changed(
    users: UserRepository, ada: User, changes: dict[str, Any]
) -> None:
    await users.delete(ada.id)
    for id in (ada.id, uuid7()):
        for expected in (None, 1):
            with pytest.raises(NotFoundError):
                await users.update(id, expected_version=expected, **changes)
    assert await users.find_by_email("new@example.com") is None


async def test_nothing_to_change_is_refused(mute: UserRepository) -> None:
    with pytest.raises(InvalidInputError) as error:
        await mute.update(uuid7())
    assert error.value.details["field"] == "changes"


async def test_a_new_e_mail_is_found_and_the_old_one_is_free(
    users: UserRepository, ada: User
) -> None:
    changed = await users.update(ada.id, email="Countess@example.com")
    assert changed.email == "Countess@example.com"
    assert (await users.get_by_email("countess@EXAMPLE.com")).id == ada.id
    assert await users.find_by_email(ada.email) is None
    await users.create(email=ada.email, name="Another")


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com"])
async def test_ones_own_e_mail_is_never_taken(users: UserRepository, ada: User, email: str) -> None:
    assert (await users.update(ada.id, email=email)).email == email
    assert (await users.get_by_email("ada@example.com")).id == ada.id


async def test_a_taken_e_mail_is_refused_and_nothing_changes(
    users: UserRepository, ada: User, bob: User
) -> None:
    with pytest.raises(AlreadyExistsError) as error:
        await users.update(bob.id, email="ADA@example.com", name="Robert")
    assert error.value.details["field"] == "email"
    assert vars(await users.get(bob.id)) == vars(bob)
    assert (await users.get_by_email(bob.email)).id == bob.id


async def test_the_e_mail_of_the_deleted_is_free(
    users: UserRepository, ada: User, bob: User
) -> None:
    await users.delete(ada.id)
    assert (await users.update(bob.id, email=ada.email)).email == ada.email


async def test_two_changes_of_one_users_e_mail_at_once_leave_the_last_alone(
    users: UserRepository, ada: User
) -> None:
    for n in range(ROUNDS):
        emails = [f"{n}{side}@example.com" for side in "ab"]
        await asyncio.gather(*(users.update(ada.id, email=email) for email in emails))
        kept = (await users.get(ada.id)).email
        assert [await users.find_by_email(email) is not None for email in emails] == [
            email == kept for email in emails
        ]
