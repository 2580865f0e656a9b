"""Extracts the title of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

MAX_LENGTH = 500

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^:?title:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_ATX = re.compile(r"^#[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_SETEXT = re.compile(r"^(?!\s|[-=])(.+)\n=+[ \t]*$", re.MULTILINE)
_UNDERLINE = re.compile(r"([^\w\s])\1+")
_HEADER = re.compile(r"\A(?::?[\w-]+:.*\n(?:[ \t]+\S.*\n)*)+")


def title_of(text: str, suffix: str, fallback: str) -> str:
    """Extract the title of a document, on one line, truncated to :data:`MAX_LENGTH`.

    Args:
        text: the document.
        suffix: the file's suffix, which determines the format.
        fallback: returned if the document has no title.
    """
    found = _KINDS[suffix](text) or fallback
    line = " ".join(found.split())
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1] + "…"


def _markdown(text: str) -> str | None:
    """Return ``title:`` of the front matter, else the first top-level heading."""
    front = _FRONT_MATTER.match(text)
    named = _FIELD.search(front[1]) if front else None
    if named:
        return named[1].strip().strip("\"'")
    body = _FENCED.sub("", text[front.end() :] if front else text)
    headings = [found for found in (_ATX.search(body), _SETEXT.search(body)) if found]
    return min(headings, key=lambda found: found.start())[1] if headings else None


def _restructured(text: str) -> str | None:
    """Return ``Title:`` of the header (as in PEPs), else the first underlined line."""
    header = _HEADER.match(text)
    named = _FIELD.search(header[0]) if header else None
    return named[1] if named else next(_underlined(text), None)


def _underlined(text: str) -> Iterator[str]:
    lines = text.splitlines()
    for line, below in pairwise(lines):
        rule = _UNDERLINE.fullmatch(below.rstrip())
        if rule and len(below.rstrip()) >= len(line.strip()) > 0 and not _is_rule(line):
            yield line


def _is_rule(line: str) -> bool:
    return _UNDERLINE.fullmatch(line.strip()) is not None


def _plain(text: str) -> str | None:
    """Return the first line that is not blank."""
    return next((line for line in text.splitlines() if line.strip()), None)


_KINDS: dict[str, Callable[[str], str | None]] = {
    ".txt": _plain,
    ".md": _markdown,
    ".rst": _restructured,
}
