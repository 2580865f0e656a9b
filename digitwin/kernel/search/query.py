"""The query language of the searches.

Plain words rank, none is required. A ``"quoted phrase"`` is required; ``or`` requires one of two
phrases; ``-word`` and ``-"a phrase"`` are excluded. There are no syntax errors: every text parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r'(?<!\S)(?P<minus>-?)"(?P<phrase>[^"]*)"|(?P<word>\S+)')

_PLAIN: Final = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»", '"'),
        "<": " ",
        ">": " ",
    }  # PostgreSQL ignores text that looks like a tag
)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed query, in plain text without syntax.

    ``words`` holds all words that rank. A document must contain one phrase of each group in
    ``required``, and none of ``excluded``.
    """

    words: str
    required: tuple[tuple[str, ...], ...]
    excluded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    text: str
    is_phrase: bool
    is_excluded: bool

    @property
    def is_or(self) -> bool:
        return not self.is_phrase and self.text.casefold() == "or"


def parse(text: str) -> SearchQuery:
    """Parse a query; never fails."""
    groups: list[list[_Term]] = []
    excluded: list[str] = []
    after_or = False
    for term in _terms(text):
        if term.is_excluded:
            excluded.append(term.text)
        elif term.is_or:
            after_or = bool(groups)
            continue
        elif after_or:
            groups[-1].append(term)
        else:
            groups.append([term])
        after_or = False
    return SearchQuery(
        words="\n".join(term.text for group in groups for term in group),
        required=tuple(
            tuple(term.text for term in group)
            for group in groups
            if any(term.is_phrase for term in group)
        ),
        excluded=tuple(excluded),
    )


def _terms(text: str) -> Iterator[_Term]:
    for match in _TOKEN.finditer(text.translate(_PLAIN)):
        phrase = match["phrase"]
        if phrase is not None:
            yield _Term(phrase, is_phrase=True, is_excluded=bool(match["minus"]))
        else:
            yield _word(match["word"])


def _word(word: str) -> _Term:
    """One minus excludes a word; two are the start of an option such as --json."""
    is_excluded = len(word) > 1 and word[0] == "-" and word[1] != "-"
    return _Term(word[1:] if is_excluded else word, is_phrase=False, is_excluded=is_excluded)
