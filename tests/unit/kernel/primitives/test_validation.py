"""Input that PostgreSQL or JSON would choke on is refused, and the refusal names the field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, Required
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import AfterValidator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import (
    STRICT,
    AwareDatetime,
    Count,
    FiniteFloat,
    Flag,
    JsonObject,
    Line,
    Text,
    bounded,
    seconds,
    validate,
)


def _loud(value: str) -> str:
    if value.islower():
        raise ValueError("is not loud")
    return value


@with_config(STRICT)
class Fields(TypedDict, total=False):
    name: Required[Annotated[str, Line(5)]]
    body: Annotated[str, Text(8)]
    loud: Annotated[str, Line(5), AfterValidator(_loud)]
    traits: Annotated[list[Annotated[str, Line(3)]], Field(max_length=2)]
    settings: JsonObject
    turns: Count
    score: FiniteFloat
    since: AwareDatetime
    active: Flag
    tier: Literal["free", "pro"]
    user_id: UUID | str


FIELDS = TypeAdapter(Fields)
EDGE = datetime.max.replace(tzinfo=timezone(-timedelta(hours=3)))


def refused(**given: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        validate(FIELDS, {"name": "Ada", **given})
    return caught.value


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", None, "name must be a string"),
        ("name", b"Ada", "name must be a string"),
        ("name", "", "name must have at least 1 character(s)"),
        ("name", "   ", "name must not be blank"),
        ("name", "Ad\na", "name must be on one line"),
        ("name", "A\u2028a", "name must be on one line"),
        ("name", "A\0a", "name must not contain a NUL character"),
        ("name", "A\ud800", "name must not contain a lone surrogate"),
        ("name", "Ada L.", "name must have at most 5 characters"),
        ("body", "a\0", "body must not contain a NUL character"),
        ("body", "123456789", "body must have at most 8 characters"),
        ("loud", "ada", "loud is not loud"),
        ("traits", "dry", "traits must be a list"),
        ("traits", ("dry",), "traits must be a list"),
        ("traits", ["a", "b", "c"], "traits must have at most 2 items"),
        ("traits", ["dry", "curious"], "traits[1] must have at most 3 characters"),
        ("settings", [], "settings must be a dict"),
        (
            "settings",
            {"a": {1}},
            "settings must not contain a value of type set, which JSON does not have",
        ),
        ("turns", True, "turns must be a whole number"),
        ("turns", 1.0, "turns must be a whole number"),
        ("turns", "1", "turns must be a whole number"),
        ("turns", -1, "turns must be at least 0"),
        ("turns", 2**31, "turns must be at most 2147483647"),
        ("turns", 10**400, "turns must be at most 2147483647"),
        ("score", True, "score must be a number"),
        ("score", "0.5", "score must be a number"),
        ("score", float("nan"), "score must not be NaN or infinity"),
        ("score", float("-inf"), "score must not be NaN or infinity"),
        ("score", 10**400, "score must be a number"),
        ("since", datetime(2026, 1, 1), "since must have a time zone"),  # noqa: DTZ001
        ("since", "2026-01-01T00:00:00Z", "since must be a datetime"),
        ("since", EDGE, "since must be a time that can be converted to UTC"),
        ("active", 1, "active must be true or false"),
        ("tier", "gold", "tier must be 'free' or 'pro'"),
        ("user_id", 7, "user_id must be a UUID"),
        ("nmae", "Ada", "unknown field 'nmae'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_field(
    field: str, value: object, message: str
) -> None:
    error = refused(**{field: value})
    assert error.message == message
    assert error.details["field"] == field


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("name", "Ada L.", 5),
        ("traits", ["a"] * 3, 2),
        ("turns", -1, 0),
        ("turns", 2**31, 2**31 - 1),
    ],
)
def test_a_limit_is_told(field: str, value: object, limit: int) -> None:
    assert refused(**{field: value}).details == {"field": field, "limit": limit}


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"^name is missing$"):
        validate(FIELDS, {})


def test_a_misspelt_field_is_named_before_the_one_it_leaves_missing() -> None:
    with pytest.raises(InvalidInputError, match=r"^unknown field 'nmae'$"):
        validate(FIELDS, {"nmae": "Ada"})


def test_no_refusal_repeats_a_long_value() -> None:
    assert len(refused(name="x" * 10_000).message) < 100
    assert len(refused(**{"x" * 10_000: 1}).message) < 200


def test_what_fits_comes_back_as_it_was() -> None:
    given: Fields = {
        "name": "Ada",
        "body": "\ttwo\n",
        "traits": ["dry"],
        "settings": {"a": [1, None]},
        "turns": 0,
        "score": 1,
        "active": False,
        "user_id": UUID(int=7),
    }
    assert validate(FIELDS, given) == given


def test_a_moment_comes_back_in_utc() -> None:
    there = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    since = validate(FIELDS, {"name": "Ada", "since": there})["since"]
    assert since == there
    assert since.tzinfo is UTC


def test_a_lone_value_goes_by_the_name_it_is_given() -> None:
    with pytest.raises(InvalidInputError, match=r"^limit must be a whole number$"):
        validate(TypeAdapter(Count), "x", "limit")


def test_a_list_of_fields_goes_by_the_name_it_is_given_and_the_item_is_told() -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate(TypeAdapter(list[Fields]), [{"name": "Ada"}, {"name": 7}], "rows")
    assert caught.value.message == "rows[1].name must be a string"
    assert caught.value.details["field"] == "rows"


@given(st.text(max_size=20))
def test_a_text_is_taken_whole_or_refused(text: str) -> None:
    storable = "\0" not in text and len(text) <= 8
    try:
        assert validate(FIELDS, {"name": "Ada", "body": text})["body"] == text
        assert storable
    except InvalidInputError:
        assert not storable


@given(st.integers())
def test_a_whole_number_is_taken_within_its_bounds_and_refused_outside(value: int) -> None:
    if 1 <= value <= 1000:
        assert bounded(value, "limit", at_least=1, at_most=1000) == value
        return
    with pytest.raises(InvalidInputError, match="limit must be between 1 and 1000") as caught:
        bounded(value, "limit", at_least=1, at_most=1000)
    assert caught.value.details == {"field": "limit", "limit": 1 if value < 1 else 1000}


@pytest.mark.parametrize("value", [None, True, 1.0, "1"])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match="limit must be a whole number"):
        bounded(value, "limit", at_least=1, at_most=1000)


@pytest.mark.parametrize(
    ("value", "expected"), [(60, 60.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)]
)
def test_a_duration_is_seconds_or_a_timedelta(value: object, expected: float) -> None:
    assert seconds(value, "ttl", at_least=0.001, at_most=3600) == expected


@pytest.mark.parametrize(
    "value",
    [None, True, "60", float("nan"), float("inf"), 0, -1, 3601, 10**400, timedelta(days=1)],
)
def test_another_duration_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^ttl must be") as caught:
        seconds(value, "ttl", at_least=0.001, at_most=3600)
    assert caught.value.details["field"] == "ttl"
