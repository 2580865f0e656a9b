"""Queries parse as people expect, and no text is a syntax error."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from digitwin.kernel.search.query import SearchQuery, parse


def q(words: str, *required: tuple[str, ...], excluded: tuple[str, ...] = ()) -> SearchQuery:
    return SearchQuery(words="\n".join(words.split("|")), required=required, excluded=excluded)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("opening hours", q("opening|hours")),
        ('the "opening hours" today', q("the|opening hours|today", ("opening hours",))),
        ('"a b" "c d"', q("a b|c d", ("a b",), ("c d",))),
        ('"a b" or "c d" or e', q("a b|c d|e", ("a b", "c d", "e"))),
        ('tea OR "green tea"', q("tea|green tea", ("tea", "green tea"))),
        ("tea or coffee", q("tea|coffee")),
        ("tea -coffee", q("tea", excluded=("coffee",))),
        ('tea -"black coffee"', q("tea", excluded=("black coffee",))),
        ("state-of-the-art - today", q("state-of-the-art|-|today")),
        ("what does --json print", q("what|does|--json|print")),
    ],
)
def test_the_language(text: str, meaning: SearchQuery) -> None:
    assert parse(text) == meaning


def test_typographic_quotes_count_as_quotes() -> None:
    assert parse("“opening hours”") == parse("«opening hours»") == parse('"opening hours"')


def test_a_quote_that_is_never_closed_is_a_word_being_typed() -> None:
    assert parse('my "open') == q('my|"open')


@pytest.mark.parametrize("text", ["or", "or or", "-x or", "or -x", ""])
def test_an_or_between_nothing_joins_nothing(text: str) -> None:
    assert parse(text).required == ()
    assert parse(text).words == ""


def test_a_minus_after_or_still_takes_away() -> None:
    assert parse('"a b" or -c d') == q("a b|d", ("a b",), excluded=("c",))


def test_angle_brackets_hide_no_words() -> None:
    assert parse("x <b and c> d").words.split() == ["x", "b", "and", "c", "d"]


@given(st.text())
def test_every_text_has_a_meaning(text: str) -> None:
    query = parse(text)
    assert all(group for group in query.required)
    assert all(text in query.words for group in query.required for text in group)


@given(st.lists(st.from_regex(r"[a-z]{3,9}", fullmatch=True), min_size=1))
def test_plain_words_are_all_wanted_and_none_required(words: list[str]) -> None:
    assert parse(" ".join(words)) == SearchQuery("\n".join(words), (), ())
