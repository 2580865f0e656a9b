"""What a person types into a search box, taken apart.

Words rank and none of them is needed; ``"a phrase"`` must be there, word by word; ``or``
between two makes either do; ``-word`` and ``-"a phrase"`` must not be there. Any text has a
meaning: there is nothing a person could type that is an error, except nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r'(?<!\S)(?P<minus>-?)"(?P<phrase>[^"]*)"|(?P<word>\S+)')

_PLAIN: Final = str.maketrans(
    {**dict.fromkeys("“”„‟«»", '"'), "<": " ", ">": " "}  # PostgreSQL would drop <b a tag>
)


@dataclass(frozen=True, slots=True)
class Query:
    """A search, ready for the statement; all of it is plain text, nothing is syntax.

    ``wanted`` holds every word asked for; of each group in ``required`` one text must be
    found as it stands; nothing in ``excluded`` may be.
    """

    wanted: str
    required: tuple[tuple[str, ...], ...]
    excluded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    text: str
    phrase: bool
    minus: bool

    @property
    def is_or(self) -> bool:
        return not self.phrase and self.text.casefold() == "or"


def parse(text: str) -> Query:
    """Take a search text apart; every text has a meaning."""
    groups: list[list[_Term]] = []
    excluded: list[str] = []
    joining = False
    for term in _terms(text):
        if term.minus:
            excluded.append(term.text)
        elif term.is_or:
            joining = bool(groups)
            continue
        elif joining:
            groups[-1].append(term)
        else:
            groups.append([term])
        joining = False
    return Query(
        wanted="\n".join(term.text for group in groups for term in group),
        required=tuple(
            tuple(term.text for term in group)
            for group in groups
            if any(term.phrase for term in group)
        ),
        excluded=tuple(excluded),
    )


def _terms(text: str) -> Iterator[_Term]:
    for match in _TOKEN.finditer(text.translate(_PLAIN)):
        phrase = match["phrase"]
        if phrase is not None:
            yield _Term(phrase, phrase=True, minus=bool(match["minus"]))
        else:
            yield _word(match["word"])


def _word(word: str) -> _Term:
    """One minus takes away; two begin an option such as --json, which is a word."""
    minus = len(word) > 1 and word[0] == "-" and word[1] != "-"
    return _Term(word[1:] if minus else word, phrase=False, minus=minus)
