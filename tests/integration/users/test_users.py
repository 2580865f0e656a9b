"""Users are stored, found and counted."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from digitwin.users.repository import UserRepository


async def test_a_new_user_has_the_documented_defaults(users: UserRepository) -> None:
    user = await users.create(email="ada@example.com", name="Ada")
    assert (user.email, user.name) == ("ada@example.com", "Ada")
    assert (user.personality_traits, user.settings, user.subscription_tier) == ([], {}, "free")
    assert (user.version, user.deleted_at, user.deletion_id) == (1, None, None)


async def test_every_field_comes_back_as_it_was_given(users: UserRepository) -> None:
    given: dict[str, Any] = {
        "email": "Ada.Lovelace+twin@Exämple.com",
        "name": "Ada Лавлейс 𝔄",
        "personality_traits": ["curious", "dry humour", "☕ first"],
        "settings": {"voice": {"rate": 1.25, "on": True}, "topics": ["maths", None], "n": 2**60},
        "subscription_tier": "enterprise",
    }
    made = await users.create(**given)
    found = await users.get(made.id)
    assert {name: getattr(found, name) for name in given} == given


async def test_times_are_the_databases(digitwin_db: Database, users: UserRepository) -> None:
    async with digitwin_db.transaction():
        now = await digitwin_db._core.db.fetchval("SELECT now()")
        user = await users.create(email="ada@example.com", name="Ada")
    assert user.created_at == user.updated_at == now


async def test_an_id_made_by_the_caller_is_kept(users: UserRepository) -> None:
    id = uuid7()
    assert (await users.create(id=str(id), email="ada@example.com", name="Ada")).id == id


async def test_the_same_id_is_taken_once_whatever_the_e_mail(users: UserRepository) -> None:
    id = uuid7()
    await users.create(id=id, email="ada@example.com", name="Ada")
    for email in ("ada@example.com", "other@example.com"):
        with pytest.raises(AlreadyExistsError) as error:
            await users.create(id=id, email=email, name="Again")
        assert error.value.details["field"] == "id"
    assert [user.name async for user in users.stream()] == ["Ada"]


async def test_a_refused_creation_inside_a_transaction_can_be_survived(
    digitwin_db: Database, users: UserRepository, ada: User
) -> None:
    async with digitwin_db.transaction():
        with pytest.raises(AlreadyExistsError):
            async with digitwin_db.transaction():
                await users.create(email=ada.email, name="Other")
        await users.create(email="other@example.com", name="Other")
    assert await users.count() == 2


async def test_many_are_stored_in_the_order_given(users: UserRepository) -> None:
    rows: list[Any] = [
        {"email": f"{n}@example.com", "name": f"N{n}", **({"settings": {"n": n}} if n % 2 else {})}
        for n in range(99, -1, -1)
    ]
    made = await users.create_many(rows)
    assert [(user.email, user.settings) for user in made] == [
        (row["email"], row.get("settings", {})) for row in rows
    ]
    assert (await users.get_by_email("7@example.com")).settings == {"n": 7}


async def test_many_keep_ids_made_by_the_caller(users: UserRepository) -> None:
    ids = [uuid7() for _ in range(3)]
    rows = [{"id": id, "email": f"{n}@example.com", "name": "N"} for n, id in enumerate(ids)]
    assert [user.id for user in await users.create_many(rows)] == ids  # type: ignore[arg-type]


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@example.com"])
async def test_many_are_stored_all_or_none(users: UserRepository, ada: User, email: str) -> None:
    with pytest.raises(AlreadyExistsError) as error:
        await users.create_many(
            [{"email": "new@example.com", "name": "New"}, {"email": email, "name": "Taken"}]
        )
    assert error.value.details["field"] == "email"
    assert [user.id async for user in users.stream()] == [ada.id]
    assert await users.find_by_email("new@example.com") is None


async def test_many_with_one_e_mail_twice_are_refused(users: UserRepository) -> None:
    with pytest.raises(AlreadyExistsError) as error:
        await users.create_many([{"email": e, "name": "N"} for e in ("a@b.example", "A@B.example")])
    assert error.value.details["field"] == "email"
    assert await users.count() == 0


async def test_many_with_one_id_twice_are_refused(users: UserRepository) -> None:
    id = uuid7()
    with pytest.raises(AlreadyExistsError) as error:
        await users.create_many(
            [{"id": id, "email": f"{n}@example.com", "name": "N"} for n in range(2)]
        )
    assert error.value.details["field"] == "id"
    assert await users.count() == 0


async def test_no_rows_are_no_work(mute: UserRepository) -> None:
    assert await mute.create_many([]) == []


async def test_one_is_got_by_a_uuid_and_by_its_string(users: UserRepository, ada: User) -> None:
    for id in (ada.id, str(ada.id), ada.id.hex):
        assert (await users.get(id)).email == ada.email


async def test_what_is_missing_is_not_found_and_find_gives_none(users: UserRepository) -> None:
    id = uuid7()
    with pytest.raises(NotFoundError) as error:
        await users.get(id)
    assert (error.value.details["field"], error.value.details["id"]) == ("id", str(id))
    assert await users.find(id) is None


async def test_get_with_another_persons_user_id_finds_nothing(
    users: UserRepository, ada: User, bob: User
) -> None:
    assert await users.find(ada.id, user_id=bob.id) is None
    assert (await users.get(ada.id, user_id=ada.id)).id == ada.id


async def test_pages_show_every_user_once_oldest_first(users: UserRepository) -> None:
    made = [(await users.create(email=f"{n}@example.com", name="N")).id for n in range(7)]
    seen, after = [], None
    while True:
        page = await users.list(limit=3, after=after)
        seen += [user.id for user in page.items]
        after = page.next_cursor
        if after is None:
            break
    assert seen == made


async def test_a_page_stays_put_when_rows_come_and_go(users: UserRepository) -> None:
    made = [(await users.create(email=f"{n}@example.com", name="N")).id for n in range(4)]
    first = await users.list(limit=2)
    await users.hard_delete(made[0])
    late = await users.create(email="late@example.com", name="N")
    second = await users.list(limit=5, after=first.next_cursor)
    assert [user.id for user in second.items] == [*made[2:], late.id]


async def test_the_last_page_says_that_it_is_the_last(users: UserRepository) -> None:
    for n in range(2):
        await users.create(email=f"{n}@example.com", name="N")
    assert (await users.list(limit=2)).next_cursor is None
    assert (await users.list(limit=1)).next_cursor is not None


async def test_a_cursor_goes_with_filters(users: UserRepository) -> None:
    for n in range(6):
        await users.create(email=f"{n}@example.com", name=("even", "odd")[n % 2])
    first = await users.list(limit=2, name="odd")
    second = await users.list(limit=2, name="odd", after=first.next_cursor)
    assert [user.email[0] for user in (*first.items, *second.items)] == ["1", "3", "5"]


@pytest.mark.parametrize("limit", [1, 1000])
async def test_limits_at_their_bounds_are_fine(
    users: UserRepository, ada: User, bob: User, limit: int
) -> None:
    assert len((await users.list(limit=limit)).items) == min(limit, 2)


async def test_nothing_that_fits_is_an_empty_page(users: UserRepository) -> None:
    page = await users.list(name="nobody")
    assert (page.items, page.next_cursor) == ([], None)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["Ada", "Bob", "Cy"]),
        ({"name": "Ada"}, ["Ada"]),
        ({"subscription_tier": "pro"}, ["Bob", "Cy"]),
        ({"subscription_tier": "pro", "name": "Cy"}, ["Cy"]),
        ({"email": "BOB@example.com"}, ["Bob"]),
        ({"email": "bob@example.com", "subscription_tier": "free"}, []),
        ({"email": "nobody@example.com"}, []),
    ],
)
async def test_filters_narrow_lists_streams_and_counts(
    users: UserRepository, filters: dict[str, Any], names: list[str]
) -> None:
    for name, tier in (("Ada", "free"), ("Bob", "pro"), ("Cy", "pro")):
        given: Any = {"email": f"{name}@example.com", "name": name, "subscription_tier": tier}
        await users.create(**given)
    assert [user.name for user in (await users.list(**filters)).items] == names
    assert [user.name async for user in users.stream(**filters)] == names
    assert await users.count(**filters) == len(names)
    assert await users.exists(**filters) is bool(names)


async def test_a_filter_is_a_value_and_no_pattern(users: UserRepository, ada: User) -> None:
    for name in ("A%", "' OR true --", "A\\"):
        assert await users.count(name=name) == 0


async def test_the_deleted_are_seen_only_on_request(
    users: UserRepository, ada: User, bob: User
) -> None:
    await users.delete(bob.id)
    assert [user.id for user in (await users.list()).items] == [ada.id]
    assert [u.id for u in (await users.list(include_deleted=True)).items] == [ada.id, bob.id]
    assert [u.id async for u in users.stream(include_deleted=True)] == [ada.id, bob.id]
    assert (await users.count(), await users.count(include_deleted=True)) == (1, 2)
    assert not await users.exists(name="Bob")
    assert await users.exists(name="Bob", include_deleted=True)
    assert (await users.get(bob.id, include_deleted=True)).deleted_at is not None


async def test_a_cursor_passes_over_the_deleted(users: UserRepository) -> None:
    made = [(await users.create(email=f"{n}@example.com", name="N")).id for n in range(3)]
    first = await users.list(limit=1)
    await users.delete(made[1])
    assert [u.id for u in (await users.list(after=first.next_cursor)).items] == [made[2]]


async def test_a_cursor_of_another_kind_is_refused(users: UserRepository) -> None:
    for after in ("", "x", str(uuid7()), "AAAA", "AZAZ+/AZAZAZAZAZAZAZAZ", b"x", 7):
        with pytest.raises(InvalidInputError) as error:
            await users.list(after=after)  # type: ignore[arg-type]
        assert error.value.details["field"] == "after"
