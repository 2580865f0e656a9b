"""A question in PostgreSQL's terms: which lexemes its words are, and the conditions made of them.

The lexemes come from the server (:func:`lexemes` is the SQL), in every language in which texts are
stored, so that question and text are read alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from digitwin.errors import InvalidInputError
from digitwin.kernel.search.query import SearchQuery
from digitwin.kernel.search.words import is_paired, words

MAX_WORDS: Final = 32
"""Words of a question that are asked for; of more the longest, which tend to be the rarest."""
MAX_PHRASES: Final = 32
"""Phrases and words that may be required, and as many that may be excluded."""

Lexemes = Mapping[str, Sequence[tuple[str, int]]]
"""For each text its lexemes in one language, each with its place; none for stop words."""


class Words(NamedTuple):
    """A word or a phrase: its words in order, each of which may be several pairs of characters."""

    texts: tuple[str, ...]


class Term(NamedTuple):
    """A word, as conditions."""

    together: str
    """For a vector whose positions are texts: its lexemes are in one text."""
    present: str
    """For a vector of one text."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the words that rank, and the phrases that are required or excluded."""

    terms: tuple[str, ...]
    required: tuple[tuple[Words, ...], ...]
    excluded: tuple[Words, ...]

    @property
    def texts(self) -> list[str]:
        """Every text whose lexemes are needed."""
        phrases = (*(one for group in self.required for one in group), *self.excluded)
        return list(
            dict.fromkeys([*self.terms, *(text for one in phrases for text in _parts(one))])
        )


def ask(query: SearchQuery, *, every_word: bool = False) -> Question:
    """Return the question of a query.

    Args:
        every_word: each word is required, not only phrases.

    Raises:
        InvalidInputError: the query has too many phrases or exclusions.
    """
    terms = dict.fromkeys(word.lower() for word in words(query.words))
    ranking = sorted(terms, key=len, reverse=True)[:MAX_WORDS]
    required = [tuple(Words(tuple(words(text))) for text in group) for group in query.required]
    if every_word:
        in_phrases = {word.lower() for group in required for one in group for word in one.texts}
        required += [(Words((word,)),) for word in ranking if word not in in_phrases]
    excluded = tuple(Words(tuple(words(text))) for text in query.excluded)
    for given, what in ((query.required, "phrases"), (excluded, "exclusions")):
        if len(given) > MAX_PHRASES:
            raise InvalidInputError(f"query has more than {MAX_PHRASES} {what}", field="query")
    return Question(tuple(sorted(ranking)), tuple(required), excluded)


@dataclass(frozen=True, slots=True)
class Conditions:
    """A question in one language, as the text of tsquery values; None where it asks for nothing.

    Positions may be of words or of whole texts (:attr:`together`: in one text).
    """

    terms: Mapping[int, Term]
    """The words by their place in the question; without those that are stop words."""
    required: str | None
    """What is required, together in one text."""
    present: str | None
    """The same for a vector of one text: all its lexemes are there."""
    exact: str | None
    """Phrases, and what is excluded, for a vector with the positions of words."""
    lexemes: frozenset[str]
    """The lexemes of words and of what is required."""
    pairs: frozenset[tuple[str, str]]
    """Lexemes that follow each other in every text with what is required, as far as is known."""

    @property
    def any_together(self) -> str:
        """Any word, for a vector whose positions are texts."""
        return _either(term.together for term in self.terms.values())

    @property
    def any_present(self) -> str:
        """Any word, for a vector of one text."""
        return _either(term.present for term in self.terms.values())

    @property
    def whole(self) -> str:
        """All words in one text."""
        return _joined((term.together for term in self.terms.values()), "<0>") or ""

    @property
    def any_lexeme(self) -> str:
        """Any lexeme, to mark words in a text."""
        return _either(map(quoted, sorted(self.lexemes)))


def conditions(question: Question, languages: Iterable[Lexemes]) -> Conditions:
    """Return a question's conditions for texts that are of any of these languages."""
    ways = list(languages)
    terms = {
        n: Term(together, _either(_all(way[text], "&") for way in ways))
        for n, text in enumerate(question.terms)
        if (together := _either(_all(way[text], "<0>") for way in ways))
    }
    groups = [
        [(phrase, way) for phrase in group for way in ways if _lexemes(phrase, way)]
        for group in question.required
    ]
    # What is all stop words in one of the languages is not required of its texts
    found = [group for group in groups if {id(way) for _, way in group} == {*map(id, ways)}]
    excluded = [
        f"!({exact})"
        for phrase in question.excluded
        for way in ways
        if (exact := _exact(phrase, way))
    ]
    phrases = [_either(_exact(*one) for one in group) for group in found]
    needed = {lexeme for group in found for one in group for lexeme, _ in _lexemes(*one)}
    return Conditions(
        terms=terms,
        required=_joined(
            (_either(_all(_lexemes(*one), "<0>") for one in group) for group in found), "<0>"
        ),
        present=_joined(
            (_either(_all(_lexemes(*one), "&") for one in group) for group in found), "&"
        ),
        exact=_joined((*phrases, *excluded), "&"),
        lexemes=frozenset(
            {lexeme for text in question.terms for way in ways for lexeme, _ in way[text]} | needed
        ),
        pairs=frozenset(
            pair for (one, *others) in found if not others for pair in _neighbours(*one)
        ),
    )


def _parts(phrase: Words) -> list[str]:
    """Return a phrase's texts: neighbouring words as one, pairs of characters by themselves."""
    parts: list[str] = []
    follows = False
    for text in phrase.texts:
        paired = is_paired(text)
        if follows and not paired:
            parts[-1] += " " + text
        else:
            parts.append(text)
        follows = not paired
    return parts


def _lexemes(phrase: Words, way: Lexemes) -> list[tuple[str, int]]:
    return [found for text in _parts(phrase) for found in way[text]]


def _exact(phrase: Words, way: Lexemes) -> str:
    return _joined((_in_order(text, way[text]) for text in _parts(phrase)), "&") or ""


def _in_order(text: str, found: Sequence[tuple[str, int]]) -> str:
    """Lexemes at the distances of their words; pairs of characters are only required."""
    if is_paired(text):
        return _all(found, "&")
    condition = ""
    last = 0
    for lexeme, place in sorted(found, key=lambda one: one[1]):
        condition += f" <{place - last}> {quoted(lexeme)}" if condition else quoted(lexeme)
        last = place
    return condition


def _neighbours(phrase: Words, way: Lexemes) -> Iterator[tuple[str, str]]:
    """Yield the lexemes of words that follow each other; nothing may stand between them."""
    for text in _parts(phrase):
        if not is_paired(text):
            found = sorted(way[text], key=lambda one: one[1])
            for (lexeme, place), (following, following_place) in pairwise(found):
                if following_place == place + 1:
                    yield lexeme, following


def _all(found: Sequence[tuple[str, int]], sign: str) -> str:
    return f" {sign} ".join(dict.fromkeys(quoted(lexeme) for lexeme, _ in found))


def _either(conditions: Iterable[str]) -> str:
    return _joined(dict.fromkeys(conditions), "|") or ""


def _joined(conditions: Iterable[str], sign: str) -> str | None:
    return f" {sign} ".join(f"({one})" for one in conditions if one) or None


def quoted(lexeme: str) -> str:
    """Return a lexeme as tsquery and tsvector read it."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
