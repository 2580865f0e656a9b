"""The archive's ``index.html``: a self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

SHOWN_ROWS: Final = 50
"""Rows shown of each table; the files hold all of them."""
SHOWN_CHARACTERS: Final = 500
"""Characters shown of each value."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 0.85rem; }
th, td { border: 1px solid #ccc; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top;
         white-space: pre-wrap; }
th { background: #f2f2f2; }
.none { color: #777; }
"""
_HEAD = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'\">\n"
    '<meta name="viewport" content="width=device-width">\n'
    "<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
)


@dataclass(slots=True)
class Section:
    """One table of the page: its first rows and its row count."""

    title: str
    file: str
    meanings: Mapping[str, str]
    count: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def add(self, lines: Sequence[str]) -> None:
        """Count JSON rows; keep the first :data:`SHOWN_ROWS`, truncated."""
        self.count += len(lines)
        for line in lines[: SHOWN_ROWS - len(self.shown)]:
            row = json.loads(line)
            self.shown.append({name: _truncated(value) for name, value in row.items()})


def render(title: str, facts: Mapping[str, str], sections: Iterable[Section]) -> str:
    """Return the page as HTML; every value is escaped."""
    listed = list(sections)
    listed_facts = "".join(
        f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in facts.items()
    )
    return "".join(
        (
            _HEAD.format(title=escape(title), style=_STYLE),
            f"<h1>{escape(title)}</h1>\n<ul>\n{listed_facts}</ul>\n",
            "<p>Each table below is also a file with one JSON object per line;"
            ' <a href="schema.json">schema.json</a> describes the fields.</p>\n',
            "<ul>\n",
            *(f'<li><a href="#{s.file}">{escape(s.title)}</a>: {s.count:,}</li>\n' for s in listed),
            "</ul>\n",
            *(_section(section) for section in listed),
            "</body>\n</html>\n",
        )
    )


def _section(section: Section) -> str:
    head = (
        f'<h2 id="{section.file}">{escape(section.title)}</h2>\n'
        f'<p><a href="{section.file}">{section.file}</a></p>\n'
    )
    if not section.shown:
        return f'{head}<p class="none">No rows.</p>\n'
    names = list(section.shown[0])
    titles = "".join(
        f'<th title="{escape(section.meanings.get(name, ""))}">{escape(name)}</th>'
        for name in names
    )
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(row[name])}</td>' for name in names)}</tr>\n"
        for row in section.shown
    )
    left = section.count - len(section.shown)
    more = f"<p>And {left:,} more in the file.</p>\n" if left else ""
    return f"{head}<table>\n<tr>{titles}</tr>\n{rows}</table>\n{more}"


def _truncated(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …"
