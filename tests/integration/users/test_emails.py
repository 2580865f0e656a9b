"""An e-mail belongs to one living user, whatever its case and however many ask at once."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from digitwin.users.repository import UserRepository
from tests.integration.users.conftest import ROUNDS
from tests.support.waiting import UntilWaiting


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Ada@Example.com", "ada@example.COM"),
        ("ada@example.com", "  ADA@example.com  "),
        ("straße@example.com", "STRAẞE@example.com"),
        ("ada@exämple.com", "ADA@EXÄMPLE.COM"),
        ("ada@exämple.com", "ada@exa\u0308mple.com"),
        ("ada@example.com", "ada@ｅｘａｍｐｌｅ.com"),
    ],
)
async def test_a_user_is_found_whatever_the_case(
    users: UserRepository, stored: str, asked: str
) -> None:
    user = await users.create(email=stored, name="Ada")
    assert (await users.get_by_email(asked)).id == user.id
    found = await users.find_by_email(asked)
    assert found is not None
    assert found.email == stored


async def test_an_e_mail_nobody_has_is_not_found(users: UserRepository, ada: User) -> None:
    with pytest.raises(NotFoundError) as error:
        await users.get_by_email("nobody@example.com")
    assert error.value.details["field"] == "email"
    assert await users.find_by_email("nobody@example.com") is None


async def test_the_deleted_are_not_found_by_e_mail(users: UserRepository, ada: User) -> None:
    await users.delete(ada.id)
    assert await users.find_by_email(ada.email) is None
    assert not await users.exists(email=ada.email)


@pytest.mark.parametrize("email", ["ada@example.com", "Ada@EXAMPLE.com", " ada@example.com "])
async def test_a_taken_e_mail_is_refused(users: UserRepository, ada: User, email: str) -> None:
    with pytest.raises(AlreadyExistsError) as error:
        await users.create(email=email, name="Other")
    assert error.value.details["field"] == "email"
    assert await users.count(include_deleted=True) == 1


async def test_the_e_mail_of_the_deleted_is_free(users: UserRepository, ada: User) -> None:
    await users.delete(ada.id)
    other = await users.create(email=ada.email, name="Other")
    assert (await users.get_by_email(ada.email)).id == other.id


async def test_of_two_creations_at_once_one_is_refused(
    digitwin_db: Database, digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    for n in range(ROUNDS):
        results = await asyncio.gather(
            digitwin_db.users.create(email=f"ada{n}@example.com", name="Ada"),
            other.users.create(email=f"ADA{n}@example.com", name="Ada"),
            return_exceptions=True,
        )
        assert one_was_stored(results)
        assert await digitwin_db.users.count(name="Ada") == n + 1


async def test_of_many_creations_at_once_one_is_stored(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory
) -> None:
    db = await digitwin_db_factory(digitwin_url, pool_max=20)
    results = await asyncio.gather(
        *(db.users.create(email="ada@example.com", name="Ada") for _ in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, User) for result in results) == 1
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 19
    assert await db.users.count() == 1


async def test_of_a_creation_and_a_change_at_once_one_is_refused(
    users: UserRepository, ada: User
) -> None:
    for n in range(ROUNDS):
        results = await asyncio.gather(
            users.create(email=f"new{n}@example.com", name="New"),
            users.update(ada.id, email=f"new{n}@example.com"),
            return_exceptions=True,
        )
        assert one_was_stored(results)


async def test_of_a_creation_and_a_restore_at_once_one_is_refused(users: UserRepository) -> None:
    for n in range(ROUNDS):
        gone = await users.create(email=f"ada{n}@example.com", name="Ada")
        await users.delete(gone.id)
        results = await asyncio.gather(
            users.create(email=gone.email, name="New"),
            users.restore(gone.id),
            return_exceptions=True,
        )
        assert one_was_stored(results)
        holder = await users.get_by_email(gone.email)
        assert [holder.id] == [result.id for result in results if isinstance(result, User)]


async def test_crowds_that_overlap_never_wait_in_a_circle(
    digitwin_db: Database, until_waiting: UntilWaiting
) -> None:
    """Both wait for the address in the middle, with what each has taken before it."""
    emails = [f"{n}@example.com" for n in range(10, 31)]

    async def create(order: list[str]) -> Any:
        return await digitwin_db.users.create_many([{"email": e, "name": "N"} for e in order])

    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.users.create(email="20@example.com", name="N")
            crowds = [
                asyncio.create_task(create(order), context=Context())
                for order in (emails, emails[::-1])
            ]
            await until_waiting(2)
            raise ZeroDivisionError
    results = await asyncio.gather(*crowds, return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [
        AlreadyExistsError
    ]
    assert await digitwin_db.users.count() == len(emails)


def one_was_stored(results: list[Any]) -> bool:
    kinds = sorted(type(result).__name__ for result in results)
    return kinds == ["AlreadyExistsError", "User"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("straße@example.com", "strasse@example.com"),
        ("ada@fußball.de", "ada@fussball.de"),
        ("ﬀ@example.com", "ff@example.com"),
    ],
)
async def test_who_only_resembles_another_is_somebody_else(
    digitwin_db: Database, one: str, other: str
) -> None:
    """A login by a verified address must not open the account of another."""
    first = await digitwin_db.users.create(email=one, name="First")
    assert await digitwin_db.users.find_by_email(other) is None
    assert not await digitwin_db.users.exists(email=other)
    second = await digitwin_db.users.create(email=other, name="Second")
    assert (await digitwin_db.users.get_by_email(one)).id == first.id
    assert (await digitwin_db.users.get_by_email(other.upper())).id == second.id
    with pytest.raises(AlreadyExistsError):
        await digitwin_db.users.update(second.id, email=one)


async def test_a_domain_is_one_in_both_its_spellings(digitwin_db: Database) -> None:
    user = await digitwin_db.users.create(email="Ada@MÜNCHEN.de", name="Ada")
    assert user.email == "Ada@MÜNCHEN.de"
    found = await digitwin_db.users.get_by_email("ada@xn--mnchen-3ya.de")
    assert found.id == user.id
    for same in ("ada@münchen.de", "ada@XN--MNCHEN-3YA.de", "ada@mu\u0308nchen.de"):
        with pytest.raises(AlreadyExistsError) as taken:
            await digitwin_db.users.create(email=same, name="Somebody else")
        assert taken.value.details["field"] == "email"
    await digitwin_db.users.delete(user.id)
    other = await digitwin_db.users.create(email="ada@xn--mnchen-3ya.de", name="Other")
    with pytest.raises(AlreadyExistsError) as taken:
        await digitwin_db.users.restore(user.id)
    assert taken.value.details["user_id"] == str(other.id)
