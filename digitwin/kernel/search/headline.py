"""Excerpts of texts, with the words that were found between « and »."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from digitwin.kernel.search.words import fold, is_paired, runs

WORDS: Final = 24
"""Words of an excerpt."""
_WORD: Final = re.compile(r"\w+")
_MARKED: Final = re.compile("«([^«»]+)»")


def marked_words(text: str) -> frozenset[str]:
    """Return the words that PostgreSQL has marked, as :func:`headline` compares them."""
    return frozenset(word.lower() for word in _MARKED.findall(text))


def headline(text: str, found: frozenset[str]) -> str:
    """Return the part of a text with the most words that were found, and mark them.

    Args:
        found: the words, from :func:`marked_words`.
    """
    spans = [span for match in _WORD.finditer(text) for span in _spans(match)]
    hits = [n for n, (start, end) in enumerate(spans) if _is_found(text, start, end, found)]
    if not spans:
        return text.strip()
    first = _densest(hits)
    last = min(first + WORDS, len(spans))
    return _excerpt(text, spans, first, last, [n for n in hits if first <= n < last])


def _spans(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of words; each character of a script without spaces is one."""
    start = match.start()
    for run in runs(match[0].replace("_", " ")):
        at = match.string.index(run, start)
        start = at + len(run)
        if is_paired(run):
            yield from ((n, n + 1) for n in range(at, start))
        else:
            yield at, start


def _is_found(text: str, start: int, end: int, found: frozenset[str]) -> bool:
    word = fold(text[start:end]).lower()
    if word in found:
        return True
    if not is_paired(word):
        return False
    pairs = (text[max(start - 1, 0) : end], text[start : end + 1])
    return any(fold(pair).lower() in found for pair in pairs)


def _densest(hits: list[int]) -> int:
    """Return the word at which the excerpt begins: a few before the first of its hits."""
    if not hits:
        return 0
    counts = [sum(1 for n in hits[at:] if n < hit + WORDS - 4) for at, hit in enumerate(hits[:200])]
    return max(hits[counts.index(max(counts))] - 4, 0)


def _excerpt(
    text: str, spans: list[tuple[int, int]], first: int, last: int, hits: list[int]
) -> str:
    begin = spans[first][0] if first else 0
    end = spans[last - 1][1] if last < len(spans) else len(text)
    marked, at = "", begin
    for start, stop in _joined([spans[n] for n in hits]):
        marked += f"{text[at:start]}«{text[start:stop]}»"
        at = stop
    shown = (marked + text[at:end]).strip()
    return ("… " if first else "") + shown + (" …" if last < len(spans) else "")


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that touch: neighbouring characters of a script without spaces."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
