"""Full scan of the database for a person's data, to verify an erasure.

It reads every column of every table rather than the registry, so that it also finds data that
an erasure missed. Its cost grows with the size of the database.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from digitwin.errors import DigiTwinError, InvalidStateError, KeyUnavailableError
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.tables import TABLES

log = logging.getLogger("digitwin.privacy")

SHORTEST: Final = 16
"""Minimum length of a text to search for: shorter ones match unrelated rows."""
LONGEST: Final = 200
"""Characters of a text that are compared."""
MOST: Final = 500
"""Texts of each kind that are searched for, newest first."""
SHORTEST_WORD: Final = 3
"""Minimum length of a word to search for."""

QUERIES = Queries(__package__)
_ESCAPED = r"\\[bfnrt]|\\u[0-9a-f]{4}"
_BEFORE = rf"(?:(?<![[:alnum:]])|(?<={_ESCAPED}))"
_AFTER = r"(?![[:alnum:]])"


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """A value to search for. Results name only ``what`` it is, never the value."""

    what: str
    text: str = field(repr=False)
    is_word: bool = False
    """Match whole words, ignoring case: ``Ada`` does not match ``Canada``."""

    def spellings(self) -> Iterator[tuple[str, bool]]:
        """Yield its forms in text and in JSON, and whether each is a regular expression."""
        if self.is_word and len(self.text) < SHORTEST_WORD:
            return
        cases = {self.text}
        if self.is_word:  # the C locale folds the case of ASCII letters only
            cases |= {self.text.upper(), self.text.lower()}
        escaped = {json.dumps(text)[1:-1] for text in cases}
        escaped |= {json.dumps(text, ensure_ascii=False)[1:-1] for text in cases}
        for text in cases | escaped:
            if self.is_word:
                yield f"{_BEFORE}{_quoted(text)}{_AFTER}", True
            else:
                yield text[:LONGEST], False


@dataclass(frozen=True, slots=True)
class Trace:
    """A place where a value was found; the value is not repeated."""

    table: str
    column: str
    what: str
    rows: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Result of a full scan."""

    traces: tuple[Trace, ...]
    unread: tuple[str, ...] = ()
    """Tables that this login may not read, or that were left when the connection failed."""

    def __bool__(self) -> bool:
        """True if every table was read and nothing was found."""
        return not self.traces and not self.unread


async def search_terms(on: Statements, person: UUID, cipher: FieldCipher) -> list[SearchTerm]:
    """Return the values that identify a person; call it before the erasure."""
    rows = await on.fetch(
        QUERIES["identifying_values"], person=person, shortest=SHORTEST, most=MOST
    )
    return [
        SearchTerm("id", str(person), is_word=True),
        SearchTerm("id", person.hex),
        *(SearchTerm(row["what"], row["value"], row["is_word"]) for row in rows),
        *[needle async for needle in _artifacts(on, person, cipher)],
    ]


async def _artifacts(on: Statements, person: UUID, cipher: FieldCipher) -> Any:
    for row in await on.fetch(QUERIES["artifacts"], person=person, deletion_id=None):
        place = EncryptedRow(row["table_name"], person, row["id"])
        try:
            opened = await cipher.decrypt(place, {"artifact_uri": row["artifact_uri"]})
        except (KeyUnavailableError, InvalidStateError):
            continue
        yield SearchTerm("artifact", opened["artifact_uri"])


async def scan(on: Statements, terms: Iterable[SearchTerm]) -> Scan:
    """Search every table of the schema for the terms.

    It runs after the erasure, which a failure of the database must not seem to undo: tables that
    could not be read any more are among the ``unread`` ones.
    """
    searched = [(n.what, *spelling) for n in terms for spelling in n.spellings()]
    if not searched:
        return Scan(())
    names = "whats", "values", "patterns"
    columns = dict(zip(names, map(list, zip(*searched, strict=True)), strict=True))
    traces: list[Trace] = []
    unread = set(TABLES)
    try:
        cells = await on.fetch(QUERIES["cells"])
        unread = {cell["table_name"] for cell in cells}
        for table, rows in groupby(cells, key=lambda cell: cell["table_name"]):
            held = list(rows)
            if held[0]["readable"]:
                traces += await _scan_table(on, table, held, columns)
                unread.discard(table)
    except DigiTwinError as error:
        log.warning("The scan after an erasure was broken off: %s", error)
    return Scan(tuple(traces), tuple(sorted(unread)))


async def _scan_table(
    on: Statements, table: str, cells: Iterable[Mapping[str, Any]], terms: Mapping[str, Any]
) -> list[Trace]:
    values = ", ".join(value for cell in cells for value in _cell(cell))
    found = await on.fetch(QUERIES.variant("scan", table=table, cells=values), **terms)
    return [Trace(table, row["name"], row["what"], row["rows"]) for row in found]


def _cell(cell: Mapping[str, Any]) -> list[str]:
    name, column = cell["name"].replace("'", "''"), f"held.{cell['quoted']}"
    if cell["is_bytes"]:
        return [f"('{name}', encode({column}, '{form}'))" for form in ("escape", "hex")]
    return [f"('{name}', {column}::text)"]


def _quoted(text: str) -> str:
    """Escape a text for a PostgreSQL regular expression."""
    return re.sub(r"([^\w\s])", r"\\\1", text)
