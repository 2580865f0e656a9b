"""Reads the records of a transcript: each line validated, each error with its line and field."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from digitwin.conversations.transcripts.lines import numbered, parsed
from digitwin.conversations.transcripts.parts import (
    END,
    FORMAT,
    ITEM,
    MAJOR,
    MINOR,
    PARTS,
    SESSION,
    TURN,
    Part,
)
from digitwin.errors import DigiTwinError, InvalidInputError
from digitwin.kernel.primitives.validation import validate

_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})")


class Record(NamedTuple):
    """A line: a row of a part, or the end of a conversation, whose part is None."""

    number: int
    part: Part | None
    row: dict[str, Any]
    size: int


def refused(
    number: int, field: str, reason: str, kind: type[DigiTwinError] = InvalidInputError, **more: Any
) -> DigiTwinError:
    """Return the error for a line; it names the line and the field, and repeats no value."""
    return kind(f"line {number}: {reason}", field=field, line=number, **more)


async def records(lines: Any) -> AsyncGenerator[Record, None]:
    """Yield the records of a file; lines that name the format are checked and left out.

    Raises:
        InvalidInputError: a line is invalid, or the file is of another format or version.
    """
    minor = None
    async with aclosing(numbered(lines)) as found:
        async for number, raw in found:
            try:
                line = _object(raw)
                if "format" in line:
                    minor = _minor_version(line)
                    continue
                _require_format(minor)
                record = _record(number, line, len(raw))
            except InvalidInputError as error:
                raise _named(error, number, minor) from None
            yield record


def _object(raw: bytes | str) -> dict[str, Any]:
    line = parsed(raw)
    if type(line) is not dict:
        raise InvalidInputError("the line must be a JSON object", field="line")
    return line


def _require_format(minor: int | None) -> None:
    if minor is None:
        first = f'{{"format":"{FORMAT}","version":"{MAJOR}.{MINOR}"}}'
        raise InvalidInputError(f"the format must be named first: {first}", field="format")


def _minor_version(line: dict[str, Any]) -> int:
    if line["format"] != FORMAT:
        raise InvalidInputError(f"the format must be {FORMAT}", field="format")
    version = line.get("version")
    found = _VERSION.fullmatch(version) if type(version) is str else None
    if found is None or int(found[1]) != MAJOR:
        raise InvalidInputError(
            f"the version must be {MAJOR}.x: this release reads {MAJOR}.{MINOR}", field="version"
        )
    return int(found[2])


def _record(number: int, line: dict[str, Any], size: int) -> Record:
    kind = line.pop("type", None)
    if kind == "end":
        counts = validate(END, line)
        return Record(number, None, dict(counts), size)
    part = PARTS.get(kind) if type(kind) is str else None
    if part is None:
        raise InvalidInputError(f"type must be one of {', '.join((*PARTS, 'end'))}", field="type")
    row = validate(part.adapter, line)
    _check(part, row)
    return Record(number, part, {**part.defaults, **row}, size)


def _check(part: Part, row: dict[str, Any]) -> None:
    """Check what fields require of each other, as the tables' constraints do."""
    status, ended_at = row.get("status"), row.get("ended_at")
    if part is SESSION and status != "ended":
        for name in ("ended_at", "end_reason"):
            if name in row:
                raise InvalidInputError(f"{name} requires the status ended", field=name)
    if part is TURN:
        if "heard_text" in row and "twin_text" not in row:
            raise InvalidInputError("heard_text requires a twin_text", field="heard_text")
        if status == "open" and ended_at is not None:
            raise InvalidInputError("an open turn has no ended_at", field="ended_at")
    if part in (TURN, ITEM) and ended_at is not None and ended_at < row.get("started_at", ""):
        raise InvalidInputError("ended_at must not be before started_at", field="ended_at")
    for name in ("position", "number"):
        if row.get(name) == 0:
            raise InvalidInputError(f"{name} must be at least 1", field=name, limit=1)


def _named(error: InvalidInputError, number: int, minor: int | None) -> DigiTwinError:
    more = {name: value for name, value in error.details.items() if name != "field"}
    field, reason = error.details.get("field", "line"), error.message
    if minor is not None and minor > MINOR and (field == "type" or reason.startswith("unknown")):
        reason += f"; the file has version {MAJOR}.{minor}, this release reads {MAJOR}.{MINOR}"
    return refused(number, field, reason, **more)
