"""Looking through every column of every table for what should be nowhere any more.

It knows no catalogue: what somebody forgot to erase is found where it was forgotten. It reads
whole tables, and takes as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.sql.queries import Queries

SHORTEST: Final = 16
"""Characters of a text that is looked for: a shorter one is everybody's."""
LONGEST: Final = 200
"""Characters of a text that are looked for."""
MOST: Final = 500
"""Texts of a kind that are looked for, the newest."""
SHORTEST_WORD: Final = 3

QUERIES = Queries(__package__)
_ESCAPED = r"\\[bfnrt]|\\u[0-9a-f]{4}"
_BEFORE = rf"(?:(?<![[:alnum:]])|(?<={_ESCAPED}))"
_AFTER = r"(?![[:alnum:]])"


@dataclass(frozen=True, slots=True)
class Needle:
    """Something to look for, and what it is: the finding tells that alone."""

    what: str
    text: str
    is_word: bool = False
    """Found as a word, whatever its case: ``Ada`` is not in ``Canada``."""

    def spellings(self) -> Iterator[tuple[str, bool]]:
        """As it may stand in text and in JSON, and whether that is a pattern."""
        if self.is_word and len(self.text) < SHORTEST_WORD:
            return
        cases = {self.text}
        if self.is_word:  # a database of the C locale knows the cases of ASCII alone
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
    """Where something still stands; the thing itself is not repeated."""

    table: str
    column: str
    what: str
    rows: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look through the whole database found."""

    traces: tuple[Trace, ...]
    unread: tuple[str, ...] = ()
    """Tables that whoever is logged in may not read."""

    def __bool__(self) -> bool:
        """Whether every table was read and nothing was found."""
        return not self.traces and not self.unread


async def needles_of(on: Statements, person: UUID, cipher: FieldCipher) -> list[Needle]:
    """What would give a person away: to be asked before they are erased."""
    rows = await on.fetch(QUERIES["telling"], person=person, shortest=SHORTEST, most=MOST)
    return [
        Needle("id", str(person), is_word=True),
        Needle("id", person.hex),
        *(Needle(row["what"], row["value"], row["is_word"]) for row in rows),
        *[needle async for needle in _artifacts(on, person, cipher)],
    ]


async def _artifacts(on: Statements, person: UUID, cipher: FieldCipher) -> Any:
    for row in await on.fetch(QUERIES["artifacts"], person=person, deletion_id=None):
        place = EncryptedRow(row["table_name"], person, row["id"])
        try:
            opened = await cipher.decrypt(place, {"artifact_uri": row["artifact_uri"]})
        except (KeyUnavailableError, InvalidStateError):
            continue
        yield Needle("artifact", opened["artifact_uri"])


async def scan(on: Statements, needles: Iterable[Needle]) -> Scan:
    """Where any of these still stands, in every table of the schema."""
    asked = [(n.what, *spelling) for n in needles for spelling in n.spellings()]
    if not asked:
        return Scan(())
    names = "whats", "values", "patterns"
    columns = dict(zip(names, map(list, zip(*asked, strict=True)), strict=True))
    traces: list[Trace] = []
    unread: list[str] = []
    for table, rows in groupby(await on.fetch(QUERIES["cells"]), key=lambda row: row["table_name"]):
        cells = list(rows)
        if not cells[0]["readable"]:
            unread.append(table)
            continue
        values = ", ".join(value for cell in cells for value in _cell(cell))
        found = await on.fetch(QUERIES.variant("scan", table=table, cells=values), **columns)
        traces += [Trace(table, row["name"], row["what"], row["rows"]) for row in found]
    return Scan(tuple(traces), tuple(unread))


def _cell(cell: Mapping[str, Any]) -> list[str]:
    name, column = cell["name"].replace("'", "''"), f"held.{cell['quoted']}"
    if cell["is_bytes"]:
        return [f"('{name}', encode({column}, '{form}'))" for form in ("escape", "hex")]
    return [f"('{name}', {column}::text)"]


def _quoted(text: str) -> str:
    """As PostgreSQL's regular expressions read it literally."""
    return re.sub(r"([^\w\s])", r"\\\1", text)
