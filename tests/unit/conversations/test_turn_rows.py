"""Turns become named values for the statements."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from digitwin.conversations import turns
from digitwin.conversations.fields import STAGES, TOKENS, TURN, TURN_CHANGES, NewTurn
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import validate

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
def test_every_value_of_a_new_turn_has_its_name(turn: NewTurn) -> None:
    row = turns.new_turn(validate(TURN, turn))
    assert row["idempotency_key"] == turn.get("idempotency_key")
    assert row["status"] == ("interrupted" if turn.get("interrupted") else "completed")
    for name in ("user_text", "twin_text", "heard_text"):
        assert row[name] == turn.get(name)
    figures = {**(turn.get("timings") or {}), **(turn.get("usage") or {})}
    assert {name: row[name] for name in (*STAGES, *TOKENS)} == {
        name: figures.get(name) for name in (*STAGES, *TOKENS)
    }


@given(st.lists(new_turns, min_size=1, max_size=5))
def test_several_turns_are_one_list_per_column(several: list[NewTurn]) -> None:
    several = [validate(TURN, turn) for turn in several]
    columns = turns.new_turns(several, "new_turns")
    rows = [turns.new_turn(turn) for turn in several]
    del columns["id"]
    assert columns == {name: [row[name] for row in rows] for name in columns}
    assert rows[0].keys() == {*columns, "id"}


@given(new_turns)
def test_an_amendment_without_a_value_is_refused(turn: Any) -> None:
    del turn["twin_text"]
    turn.pop("idempotency_key", None)
    figures = {**(turn.get("timings") or {}), **(turn.get("usage") or {})}
    texts = {name: value for name, value in turn.items() if name not in ("timings", "usage")}
    if any(value is not None for value in (*texts.values(), *figures.values())):
        changes = validate(TURN_CHANGES, turn)
        assert turns.amendment(changes)["user_text"] == turn.get("user_text")
    else:
        with pytest.raises(InvalidInputError) as error:
            turns.amendment(validate(TURN_CHANGES, turn))
        assert error.value.details["field"] == "changes"


def test_an_invalid_turn_among_several_is_named_by_its_index() -> None:
    several: list[NewTurn] = [{"user_text": "a"}, {}]
    with pytest.raises(InvalidInputError, match=r"new_turns\[1\]: user_text or twin_text"):
        turns.new_turns(several, "new_turns")
