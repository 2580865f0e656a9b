"""Exports the trail to other systems, in the order of its seals, which never changes.

The ``cursor`` of a record is its seal and its place in it, as in ``12:345``. An export that
continues after a cursor returns every later record exactly once: a late commit is in a later
seal. The record's id would not do as a cursor, because a late commit has an early id.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.sql.queries import Queries

START: Final = "0:0"
"""The cursor before the first record."""
TAIL: Final = 4 * 2**20
"""Bytes read to find the last line: a record's ``metadata`` has at most 1 MiB."""

QUERIES = Queries(__package__)
_CURSOR = re.compile(r"(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,8})")

BIGQUERY: Final = tuple(
    {"name": name, "type": kind, "mode": mode, "description": description}
    for name, kind, mode, description in (
        ("cursor", "STRING", "NULLABLE", "Seal and place in it; null if not sealed yet"),
        ("id", "STRING", "REQUIRED", "UUID of version 7"),
        ("created_at", "TIMESTAMP", "REQUIRED", "Start of the record's transaction"),
        ("action", "STRING", "REQUIRED", "What was done"),
        ("resource", "STRING", "REQUIRED", "The kind of thing it was done to"),
        ("resource_id", "STRING", "NULLABLE", "Which one"),
        ("user_id", "STRING", "REQUIRED", "The person concerned; the nil UUID for nobody"),
        ("actor_id", "STRING", "NULLABLE", "Who did it"),
        ("result", "STRING", "REQUIRED", "success, failure or denied"),
        ("ip_address", "STRING", "NULLABLE", "The actor's address"),
        ("user_agent", "STRING", "NULLABLE", "The actor's client"),
        ("metadata", "JSON", "NULLABLE", "What changed, and other details"),
    )
)
"""The schema of a table for these lines, as ``bq load`` reads it."""


def parse_cursor(cursor: str) -> tuple[int, int]:
    """Return the seal and the place of a cursor.

    Raises:
        InvalidInputError: it is no cursor.
    """
    found = _CURSOR.fullmatch(cursor) if issubclass(type(cursor), str) else None
    if found is None:
        raise InvalidInputError("after must be a seal and a place, as in 12:345", field="after")
    return int(found[1]), int(found[2])


async def sealed(
    on: Executor, after: str, since: datetime, until: datetime, *, and_unsealed: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield sealed records after a cursor; then unsealed ones, which a later export repeats.

    Raises:
        InvalidInputError: ``after`` is no cursor.
    """
    seal, place = parse_cursor(after)
    period: dict[str, Any] = {"since": since, "until": until}
    records = on.stream(QUERIES["sealed_records"], after_seal=seal, after_place=place, **period)
    async with aclosing(records) as rows:
        async for row in rows:
            record = dict(row)
            cursor = f"{record.pop('seal')}:{record.pop('place')}"
            yield {"cursor": cursor, **to_json(record)}
    if and_unsealed:
        async with aclosing(on.stream(QUERIES["unsealed_records"], **period)) as rows:
            async for row in rows:
                yield {"cursor": None, **to_json(row)}


def to_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as a dict that can be serialized as JSON."""
    row = {name: str(value) if isinstance(value, UUID) else value for name, value in record.items()}
    return {
        **row,
        "metadata": json.loads(record["metadata"]),
        "created_at": record["created_at"].isoformat(),
    }


def to_line(record: Mapping[str, Any]) -> bytes:
    """Return an exported record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def open_to_continue(path: Path) -> tuple[IO[bytes], str]:
    """Open an export to append to it, without a last line that was cut off.

    Returns:
        The file, and the cursor of its last line; :data:`START` if it is new or empty.

    Raises:
        InvalidInputError: it is no export.
    """
    file = path.open("r+b" if path.exists() else "x+b")
    end = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, end - TAIL))
    tail = file.read()
    complete = tail.rfind(b"\n") + 1
    if not complete:
        if start or (tail and not tail.startswith(b"{")):
            file.close()
            raise _not_an_export(path)
        file.truncate(file.seek(0))
        return file, START
    file.truncate(file.seek(start + complete))
    try:
        cursor = json.loads(tail[:complete].splitlines()[-1])["cursor"]
        parse_cursor(cursor)
    except (InvalidInputError, KeyError, TypeError, ValueError):
        file.close()
        raise _not_an_export(path) from None
    return file, cursor


def _not_an_export(path: Path) -> InvalidInputError:
    return InvalidInputError(f"{path} is no export that can be continued", field="to")
