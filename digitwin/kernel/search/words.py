"""The words of a text: the same for what is stored, in SQL, and for a question, in Python.

Accents are folded, and punctuation separates words. Words are compared by the stem of the text's
language, as far as PostgreSQL has a stemmer for it, else as they are. Scripts that are written
without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and Korean, whose particles stick to
the words, are compared by each pair of neighbouring characters, and a single character by itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

DEFAULT: Final = "english"
"""The configuration of a text whose language is not given: any words match if they are equal."""

CONFIGURATIONS: Final = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""PostgreSQL's configurations (15 and newer) by language; ``simple`` serves the others."""

MAX_LENGTH: Final = 200_000
"""Characters of a folded text that are searched, pairs included: a tsvector holds 1 MB."""

_MARKS: Final = (
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    r"\u0610-\u061a\u0640\u064b-\u065f\u0670\u0e47-\u0e4e"
)
"""Accents, vowel points and tone marks, which are folded away."""
_PAIRED: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    r"\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
)
"""Characters of the scripts that are compared by pairs."""
_PUNCTUATION: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»“”„‟‘’‹›…–—·"
"""Else PostgreSQL's parser would read hosts, files, tags and numbers with a sign."""

_SPACES: Final = str.maketrans(dict.fromkeys(_PUNCTUATION, " "))
_MARK: Final = re.compile(f"[{_MARKS}]")
_RUN: Final = re.compile(f"[{_PAIRED}]+|[^{_PAIRED}]+")
_IS_PAIRED: Final = re.compile(f"[{_PAIRED}]")


def fold(text: str) -> str:
    """Return a text without accents and in one form of each character; case is kept."""
    if text.isascii():
        return text
    bare = _MARK.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", bare)


def words(text: str) -> list[str]:
    """Return the words of a question, as :func:`vector` has PostgreSQL read them in a text.

    A word of the scripts without spaces is the list of its pairs, separated by spaces.
    """
    return [" ".join(_pairs(run)) for run in runs(fold(text).translate(_SPACES))]


def runs(text: str) -> Iterator[str]:
    """Yield the words of a text as they are, changing where a script without spaces does."""
    for word in text.split():
        yield from _RUN.findall(word)


def is_paired(run: str) -> bool:
    """Return whether a word is of a script that is compared by pairs."""
    return _IS_PAIRED.match(run) is not None


def _pairs(run: str) -> list[str]:
    if len(run) < 2 or not is_paired(run):
        return [run]
    return [run[n : n + 2] for n in range(len(run) - 1)]


def configuration(language: str) -> str:
    """Return the SQL of a text's configuration, by name.

    Args:
        language: the SQL of its language: a code such as ``de`` or ``de-CH``, or null.
    """
    subtag = f"lower(split_part(translate({language}, '_', '-'), '-', 1))"
    cases = " ".join(f"WHEN '{code}' THEN '{name}'" for code, name in CONFIGURATIONS.items())
    known = f"CASE {subtag} {cases} ELSE 'simple' END"
    return f"CASE WHEN {language} IS NULL THEN '{DEFAULT}' ELSE {known} END"


def plain(text: str) -> str:
    """Return the SQL of a text as PostgreSQL's parser is to read it.

    Args:
        text: the SQL of the text; a column, since it is repeated.
    """
    spaces = " " * len(_PUNCTUATION)
    punctuation = _PUNCTUATION.replace("'", "''")
    folded = (
        f"translate(normalize(regexp_replace(normalize({text}, NFKD), '[{_MARKS}]+', '', 'g'),"
        f" NFKC), '{punctuation}', '{spaces}')"
    )
    alone = r"'\1 ', 'g'"
    pair = f"'([{_PAIRED}][{_PAIRED}])', {alone}"
    # Pairs from each run's first character on, from its second on, and each character
    paired = (
        f"regexp_replace(apart, {pair})"
        f" || ' ' || regexp_replace(regexp_replace(apart, '(^|[^{_PAIRED}])([{_PAIRED}])',"
        rf" '\1\2 ', 'g'), {pair})"
        f" || ' ' || regexp_replace(apart, '([{_PAIRED}])', {alone})"
    )
    return (
        f"CASE WHEN octet_length({text}) = length({text})"
        f" THEN translate({text}, '{punctuation}', '{spaces}')"
        f" ELSE (SELECT CASE WHEN folded ~ '[{_PAIRED}]' THEN (SELECT left({paired}, {MAX_LENGTH})"
        f" FROM (SELECT regexp_replace(folded, '([{_PAIRED}]+)', ' \\1 ', 'g') AS apart OFFSET 0)"
        f" AS a) ELSE left(folded, {MAX_LENGTH}) END"
        f" FROM (SELECT {folded} AS folded OFFSET 0) AS f) END"
    )
