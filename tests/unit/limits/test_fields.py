"""Calls are checked before anything is sent, the quick way exactly as the thorough one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, strategies as st

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import validate
from digitwin.limits import fields
from digitwin.limits.decision import Ask

GOOD: dict[str, Any] = {
    "subject": "ada",
    "endpoint": "/chat",
    "limit": 10,
    "window": 60,
    "cost": 1,
}


def outcome(check: Any, *arguments: Any) -> Any:
    try:
        return check(*arguments)
    except InvalidInputError as error:
        return error.details["field"]


@given(st.text(max_size=210))
@example("")
@example(" ")
@example(" ada")
@example("ada\x85")
@example("\xa0")
@example("a" * 200)
@example("a" * 201)
def test_a_name_is_judged_as_pydantic_would(text: str) -> None:
    assert outcome(fields.name, text, "name") == outcome(validate, fields._NAME, text, "name")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2_000_000_000),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=1),
    st.timedeltas(),
)


@given(st.sampled_from(sorted(GOOD)), ANYTHING)
def test_what_was_checked_before_is_judged_as_at_first(field: str, value: Any) -> None:
    """A bool equals a whole number and hashes like it: it must not be taken for one."""
    fields.call(**GOOD)
    fields.call(**GOOD | {"limit": 1, "window": 1.0})
    given = tuple((GOOD | {field: value}).values())
    for _ in range(2):
        assert outcome(fields.call, *given) == outcome(fields._call, *given)


@pytest.mark.parametrize("field", ["limit", "cost", "window"])
def test_true_is_not_one(field: str) -> None:
    ones = GOOD | {"limit": 1, "window": 1, "cost": 1}
    fields.call(**ones)
    with pytest.raises(InvalidInputError) as refused:
        fields.call(**ones | {field: True})
    assert refused.value.details["field"] == field


def test_windows_that_are_the_same_are_one_bucket() -> None:
    windows = (60, 60.0, timedelta(minutes=1), 60.0004)
    assert len({fields.call(**GOOD | {"window": window}).bucket for window in windows}) == 1


def test_an_id_has_one_spelling() -> None:
    ada = UUID(int=0xADA)
    subjects = (ada, str(ada), str(ada).upper())
    assert {fields.subject_name(subject) for subject in subjects} == {str(ada)}
    assert fields.subject_name("x" * 36) == "x" * 36


WRONG_ASKS: list[Any] = [
    [],
    None,
    7,
    "ada",
    [{"subject": "ada"}],
    [Ask("ada", "/chat", 1, 1), None],
    [Ask("ada", f"/{n}", 1, 1) for n in range(101)],
    [Ask("ada", "/chat", 5, 60), Ask("ada", "/chat", 6, 60.0)],
    [Ask(UUID(int=7), "/chat", 5, 60), Ask(str(UUID(int=7)), "/chat", 5, 60)],
]


@pytest.mark.parametrize("asks", WRONG_ASKS)
def test_asks_are_a_list_of_different_buckets(asks: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        fields.calls(asks)
    assert refused.value.details["field"] == "asks"


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("subject", Ask("", "/chat", 1, 1)),
        ("endpoint", Ask("ada", "\0", 1, 1)),
        ("limit", Ask("ada", "/chat", 0, 1)),
        ("window", Ask("ada", "/chat", 1, float("nan"))),
        ("cost", Ask("ada", "/chat", 1, 1, 2)),
    ],
)
def test_an_ask_is_checked_like_a_call(field: str, ask: Ask) -> None:
    with pytest.raises(InvalidInputError) as refused:
        fields.calls([Ask("ada", "/good", 1, 1), ask])
    assert refused.value.details["field"] == field


def test_a_call_can_be_written_as_it_was_asked() -> None:
    ask = Ask("ada", "/chat", 10, 60, 3)
    assert [call.ask for call in fields.calls([ask])] == [ask]
