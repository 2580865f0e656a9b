"""What does not fit is refused by name, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from digitwin.errors import InvalidInputError
from digitwin.users.repository import UserRepository

ADA: dict[str, Any] = {"email": "ada@example.com", "name": "Ada"}
SOMEBODY = UUID("01926e4c-0000-7000-8000-000000000001")


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"x": value}
    return value


def circle() -> Any:
    value: dict[str, Any] = {}
    value["x"] = value
    return value


NOT_A_FIELD: list[tuple[dict[str, Any], str]] = [
    ({"email": "no-address"}, "email"),
    ({"email": "a@b@c.example"}, "email"),
    ({"email": ""}, "email"),
    ({"email": None}, "email"),
    ({"email": 7}, "email"),
    ({"email": "a\0@example.com"}, "email"),
    ({"email": "a\ud800@example.com"}, "email"),
    ({"email": "x" * 321}, "email"),
    ({"name": ""}, "name"),
    ({"name": "  "}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"name": "\udfff"}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": b"Ada"}, "name"),
    ({"name": None}, "name"),
    ({"subscription_tier": "gold"}, "subscription_tier"),
    ({"subscription_tier": "FREE"}, "subscription_tier"),
    ({"subscription_tier": None}, "subscription_tier"),
    ({"subscription_tier": True}, "subscription_tier"),
    ({"personality_traits": "curious"}, "personality_traits"),
    ({"personality_traits": ["x" * 501]}, "personality_traits"),
    ({"personality_traits": ["x"] * 101}, "personality_traits"),
    ({"personality_traits": ["a\0"]}, "personality_traits"),
    ({"personality_traits": ["a\ud800"]}, "personality_traits"),
    ({"personality_traits": [7]}, "personality_traits"),
    ({"personality_traits": None}, "personality_traits"),
    ({"settings": []}, "settings"),
    ({"settings": None}, "settings"),
    ({"settings": {"x": float("nan")}}, "settings"),
    ({"settings": {"x": [float("inf")]}}, "settings"),
    ({"settings": {"x": float("-inf")}}, "settings"),
    ({"settings": {"x": "a\0"}}, "settings"),
    ({"settings": {"a\0": 1}}, "settings"),
    ({"settings": {"x": "\ud800"}}, "settings"),
    ({"settings": {"\ud800": 1}}, "settings"),
    ({"settings": {1: "x"}}, "settings"),
    ({"settings": {"x": {1, 2}}}, "settings"),
    ({"settings": {"x": object()}}, "settings"),
    ({"settings": {"x": 2**63}}, "settings"),
    ({"settings": nested(65)}, "settings"),
    ({"settings": nested(100_000)}, "settings"),
    ({"settings": circle()}, "settings"),
    ({"settings": {"x": "y" * 1_048_577}}, "settings"),
    ({"nickname": "Ada"}, "nickname"),
    ({"version": 7}, "version"),
    ({"created_at": None}, "created_at"),
    ({"deleted_at": None}, "deleted_at"),
    ({"user_id": SOMEBODY}, "user_id"),
    ({"name\0": "x"}, "name\0"),
]
NO_IDS: list[Any] = [
    "",
    "x",
    "1234",
    7,
    None,
    b"x" * 16,
    str(SOMEBODY) + " ",
    "{" + str(SOMEBODY) + "}",
    "urn:uuid:" + str(SOMEBODY),
    [SOMEBODY],
]


async def assert_refused(call: Any, field: str) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as error:
        await call
    assert error.value.details["field"] == field
    return error.value


@pytest.mark.parametrize(("fields", "field"), NOT_A_FIELD)
async def test_a_new_user_that_does_not_fit_is_refused(
    mute: UserRepository, fields: dict[str, Any], field: str
) -> None:
    await assert_refused(mute.create(**ADA | fields), field)


@pytest.mark.parametrize(("fields", "field"), NOT_A_FIELD)
async def test_one_of_many_that_does_not_fit_is_refused(
    mute: UserRepository, fields: dict[str, Any], field: str
) -> None:
    rows: list[Any] = [ADA, ADA | {"email": "bob@example.com"} | fields]
    await assert_refused(mute.create_many(rows), field)


@pytest.mark.parametrize(("changes", "field"), NOT_A_FIELD)
async def test_a_change_that_does_not_fit_is_refused(
    mute: UserRepository, changes: dict[str, Any], field: str
) -> None:
    await assert_refused(mute.update(SOMEBODY, **changes), field)
    also_new = {"email": "new@example.com"} | changes
    await assert_refused(mute.update(SOMEBODY, **also_new), field)


@pytest.mark.parametrize("missing", ["email", "name"])
async def test_what_a_user_needs_must_be_there(mute: UserRepository, missing: str) -> None:
    fields: Any = {name: value for name, value in ADA.items() if name != missing}
    await assert_refused(mute.create(**fields), missing)


@pytest.mark.parametrize("rows", [7, None, ["ada"], [None], [[("email", "a@b.c")]]])
async def test_rows_must_be_dicts(mute: UserRepository, rows: Any) -> None:
    await assert_refused(mute.create_many(rows), "rows")


async def test_rows_must_not_be_too_many(mute: UserRepository) -> None:
    error = await assert_refused(mute.create_many([ADA] * 10_001), "rows")  # type: ignore[list-item]
    assert error.details["limit"] == 10_000


METHODS: list[Callable[[UserRepository, Any], Any]] = [
    lambda users, id: users.get(id),
    lambda users, id: users.find(id),
    lambda users, id: users.update(id, name="New"),
    lambda users, id: users.update(id, email="new@example.com"),
    lambda users, id: users.delete(id),
    lambda users, id: users.restore(id),
    lambda users, id: users.hard_delete(id),
]


@pytest.mark.parametrize("id", NO_IDS)
async def test_an_id_must_be_a_uuid(mute: UserRepository, id: Any) -> None:
    for method in METHODS:
        await assert_refused(method(mute, id), "id")


@pytest.mark.parametrize("id", [id for id in NO_IDS if id is not None])
async def test_an_id_made_by_the_caller_must_be_a_uuid(mute: UserRepository, id: Any) -> None:
    await assert_refused(mute.create(id=id, **ADA), "id")
    await assert_refused(mute.create_many([{"id": id, **ADA}]), "id")  # type: ignore[typeddict-item]


async def test_the_owner_of_a_user_must_be_a_uuid(mute: UserRepository) -> None:
    await assert_refused(mute.get(SOMEBODY, user_id="x"), "user_id")
    await assert_refused(mute.find(SOMEBODY, user_id="x"), "user_id")


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, 2**31])
async def test_an_expected_version_must_be_one(mute: UserRepository, version: Any) -> None:
    for changes in ({"name": "New"}, {"email": "new@example.com"}):
        change = mute.update(SOMEBODY, expected_version=version, **changes)  # type: ignore[arg-type]
        await assert_refused(change, "expected_version")


@pytest.mark.parametrize("limit", [0, -1, 1001, True, "50", 1.0, None, float("nan")])
async def test_a_limit_must_be_a_number_in_bounds(mute: UserRepository, limit: Any) -> None:
    await assert_refused(mute.list(limit=limit), "limit")


@pytest.mark.parametrize("after", ["", "x", "AAAA", "!" * 22, str(SOMEBODY), 7, b"x" * 22])
async def test_a_cursor_must_be_ours(mute: UserRepository, after: Any) -> None:
    await assert_refused(mute.list(after=after), "after")


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"nickname": "Ada"}, "nickname"),
        ({"name__contains": "A"}, "name__contains"),
        ({"settings": {}}, "settings"),
        ({"personality_traits": []}, "personality_traits"),
        ({"name; DROP TABLE users": "A"}, "name; DROP TABLE users"),
        ({"name": None}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": ["Ada"]}, "name"),
        ({"subscription_tier": "gold"}, "subscription_tier"),
        ({"email": "no-address"}, "email"),
    ],
)
async def test_a_filter_must_be_known_and_fit(
    mute: UserRepository, filters: dict[str, Any], field: str
) -> None:
    for call in (mute.list, mute.count, mute.exists):
        await assert_refused(call(**filters), field)  # type: ignore[operator]
    with pytest.raises(InvalidInputError) as error:
        async for _ in mute.stream(**filters):
            pass
    assert error.value.details["field"] == field


@pytest.mark.parametrize(
    "email", ["no-address", "", None, 7, "a\0@example.com", "\ud800@b.example"]
)
async def test_a_search_by_e_mail_needs_one(mute: UserRepository, email: Any) -> None:
    await assert_refused(mute.get_by_email(email), "email")
    await assert_refused(mute.find_by_email(email), "email")


@pytest.mark.parametrize("id", NO_IDS)
async def test_a_scope_needs_a_uuid(digitwin_db: Any, id: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        digitwin_db.for_user(id)
    assert error.value.details["field"] == "user_id"


@pytest.mark.parametrize("secret", ["hunter2@@example.com", "hunter2\0"])
async def test_an_error_never_repeats_the_value(mute: UserRepository, secret: str) -> None:
    for fields in (ADA | {"email": secret}, ADA | {"name": secret}):
        with pytest.raises(InvalidInputError) as error:
            await mute.create(**fields | {"subscription_tier": "gold"})
        assert "hunter2" not in f"{error.value} {error.value.details}"


async def test_texts_at_their_bounds_are_stored(users: UserRepository) -> None:
    given: dict[str, Any] = {
        "email": "x" * 64 + "@" + ("y" * 63 + ".") * 3 + "y" * 61,
        "name": "𝔄" * 200,
        "personality_traits": ["𝔄" * 500] * 100,
        "settings": nested(63) | {"y": "z" * 1_000_000},
    }
    made = await users.create(**given)
    assert {name: getattr(made, name) for name in given} == given
