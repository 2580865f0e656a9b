"""Turns become rows with every value in its own place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from digitwin.conversations import turns
from digitwin.conversations.fields import STAGES, TOKENS, TURN, NewTurn
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import validate

COLUMNS = ("id", "user_text", "twin_text", "heard_text", "status", *STAGES, *TOKENS, "key")

words = st.text("abc", min_size=1, max_size=3)
counts = st.integers(0, 2**31 - 1)
new_turns: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"twin_text": words},
    optional={
        "user_text": words | st.none(),
        "heard_text": words | st.just("") | st.none(),
        "interrupted": st.booleans() | st.none(),
        "timings": st.dictionaries(st.sampled_from(STAGES), counts | st.none()) | st.none(),
        "usage": st.dictionaries(st.sampled_from(TOKENS), counts | st.none()) | st.none(),
        "idempotency_key": words | st.none(),
    },
)


@given(new_turns)
def test_every_value_has_its_place(turn: NewTurn) -> None:
    row = dict(zip(COLUMNS, turns.row(validate(TURN, turn)), strict=True))
    assert row["key"] == turn.get("idempotency_key")
    assert row["status"] == ("interrupted" if turn.get("interrupted") else "completed")
    for name in ("user_text", "twin_text", "heard_text"):
        assert row[name] == turn.get(name)
    figures = {**(turn.get("timings") or {}), **(turn.get("usage") or {})}
    assert {name: row[name] for name in (*STAGES, *TOKENS)} == {
        name: figures.get(name) for name in (*STAGES, *TOKENS)
    }


@given(st.lists(new_turns, min_size=1, max_size=5))
def test_columns_are_the_rows_turned_about(several: list[NewTurn]) -> None:
    columns = turns.columns_of(several, "new_turns")
    rows = [turns.row(turn) for turn in several]
    assert [list(row[1:]) for row in zip(*columns, strict=True)] == [row[1:] for row in rows]


@given(new_turns)
def test_a_turn_changes_nothing_only_when_nothing_is_given(turn: Any) -> None:
    del turn["twin_text"]
    turn.pop("idempotency_key", None)
    figures = {**(turn.pop("timings", None) or {}), **(turn.pop("usage", None) or {})}
    values = [*turn.values(), *figures.values()]
    given_again: Any = {**turn, "timings": {k: v for k, v in figures.items() if k in STAGES}}
    given_again["usage"] = {k: v for k, v in figures.items() if k in TOKENS}
    assert turns.nothing_given(given_again) == all(value is None for value in values)


def test_the_turn_that_does_not_fit_is_named_by_its_place() -> None:
    several: list[NewTurn] = [{"user_text": "a"}, {}]
    with pytest.raises(InvalidInputError, match=r"new_turns\[1\]: user_text, twin_text or both"):
        turns.columns_of(several, "new_turns")
