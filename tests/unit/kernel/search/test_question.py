"""A question's conditions, in PostgreSQL's terms."""

from __future__ import annotations

import pytest

from digitwin.errors import InvalidInputError
from digitwin.kernel.search.query import parse
from digitwin.kernel.search.question import MAX_WORDS, Lexemes, ask, conditions

ENGLISH: Lexemes = {
    "open": [("open", 1)],
    "at": [],
    "nine": [("nine", 1)],
    "open at nine": [("open", 1), ("nine", 3)],
    "東京 京都": [("京都", 2), ("東京", 1)],
}


class Spoken(dict[str, list[tuple[str, int]]]):
    """Each word is a lexeme, but for `at`."""

    def __missing__(self, text: str) -> list[tuple[str, int]]:
        return [(word, n) for n, word in enumerate(text.split(), 1) if word != "at"]


SPOKEN = Spoken()


def test_words_rank_and_are_not_required() -> None:
    found = conditions(ask(parse("open at nine")), [ENGLISH])
    assert found.any_together == "(('nine')) | (('open'))"
    assert found.required is None
    assert found.exact is None


def test_a_phrase_keeps_the_distance_of_its_words() -> None:
    found = conditions(ask(parse('"open at nine"')), [ENGLISH])
    assert found.exact == "((('open' <2> 'nine')))"
    assert found.required == "(('open' <0> 'nine'))"


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ('"green glaze dries"', {("green", "glaze"), ("glaze", "dries")}),
        ('"open at nine"', set()),
        ('"green glaze" or "glaze dries"', set()),
        ('"green glaze" "glaze dries"', {("green", "glaze"), ("glaze", "dries")}),
        ('"東京 京都"', set()),
        ("green glaze", set()),
        ('kiln -"green glaze"', set()),
    ],
)
def test_words_that_follow_each_other_are_told(query: str, pairs: set[tuple[str, str]]) -> None:
    assert conditions(ask(parse(query)), [SPOKEN]).pairs == pairs


def test_in_several_languages_no_words_are_known_to_follow_each_other() -> None:
    assert not conditions(ask(parse('"green glaze"')), [SPOKEN, SPOKEN]).pairs


def test_pairs_of_characters_are_required_together() -> None:
    found = conditions(ask(parse("東京都")), [ENGLISH])
    assert found.terms[0].together == "('京都' <0> '東京')"


def test_stop_words_ask_for_nothing() -> None:
    found = conditions(ask(parse("at")), [ENGLISH])
    assert (dict(found.terms), found.required) == ({}, None)


def test_of_many_words_the_longest_are_asked_for() -> None:
    question = ask(parse(" ".join(["x" * n for n in range(1, 60)])))
    assert len(question.terms) == MAX_WORDS
    assert min(map(len, question.terms)) == 60 - MAX_WORDS


def test_phrases_are_bounded() -> None:
    with pytest.raises(InvalidInputError, match="more than 32 phrases"):
        ask(parse('"a b" ' * 33))
