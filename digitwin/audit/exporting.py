"""The trail for other systems: in the order of its seals, which never changes again.

A line's ``cursor`` is its seal and its place in it, as ``12:345``. Whoever goes on after it
gets everything that comes behind, once: a late commit is in a later seal, never before. Ids
would not do: what commits late has an early one.
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
from digitwin.kernel.sql.queries import load

START: Final = "0:0"
"""Before everything."""
TAIL: Final = 4 * 2**20
"""More bytes than a line has, by far: a record's ``metadata`` is bounded at 1 MiB."""

_SQL = load(__package__)
_CURSOR = re.compile(r"(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,8})")

BIGQUERY: Final = tuple(
    {"name": name, "type": kind, "mode": mode, "description": description}
    for name, kind, mode, description in (
        ("cursor", "STRING", "NULLABLE", "Seal and place in it; null where it has no seal yet"),
        ("id", "STRING", "REQUIRED", "UUID of version 7"),
        ("created_at", "TIMESTAMP", "REQUIRED", "When its transaction began"),
        ("action", "STRING", "REQUIRED", "What was done"),
        ("resource", "STRING", "REQUIRED", "To what kind of thing"),
        ("resource_id", "STRING", "NULLABLE", "To which one"),
        ("user_id", "STRING", "REQUIRED", "Whom it concerns; the nil UUID for nobody"),
        ("actor_id", "STRING", "NULLABLE", "Who did it"),
        ("result", "STRING", "REQUIRED", "success, failure or denied"),
        ("ip_address", "STRING", "NULLABLE", "From where"),
        ("user_agent", "STRING", "NULLABLE", "With what"),
        ("metadata", "JSON", "NULLABLE", "What changed, and whatever else was told"),
    )
)
"""The table that lines are loaded into, as ``bq load`` takes it."""


def position(cursor: str) -> tuple[int, int]:
    """Seal and place.

    Raises:
        InvalidInputError: it is no cursor.
    """
    found = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if found is None:
        raise InvalidInputError("after must be a seal and a place, as in 12:345", field="after")
    return int(found[1]), int(found[2])


async def sealed(
    on: Executor, after: str, since: datetime, until: datetime, *, and_unsealed: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """What is sealed, behind a cursor; then what no seal holds yet, which comes again later."""
    async with aclosing(on.stream(_SQL["sealed_records"], *position(after), since, until)) as rows:
        async for row in rows:
            record = dict(row)
            cursor = f"{record.pop('seal')}:{record.pop('place')}"
            yield {"cursor": cursor, **plain(record)}
    if and_unsealed:
        async with aclosing(on.stream(_SQL["unsealed_records"], since, until)) as rows:
            async for row in rows:
                yield {"cursor": None, **plain(row)}


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a dict fit for JSON."""
    row = {name: str(value) if isinstance(value, UUID) else value for name, value in record.items()}
    return {
        **row,
        "metadata": json.loads(record["metadata"]),
        "created_at": record["created_at"].isoformat(),
    }


def line(record: Mapping[str, Any]) -> bytes:
    """A record as a line in JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def continued(path: Path) -> tuple[IO[bytes], str]:
    """A file to append lines to, and the cursor of its last whole one; a broken one is cut off.

    Raises:
        InvalidInputError: its last line is of something else.
    """
    file = path.open("r+b" if path.exists() else "x+b")
    end = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, end - TAIL))
    tail = file.read()
    whole = tail.rfind(b"\n") + 1
    if not whole:
        if start or (tail and not tail.startswith(b"{")):
            file.close()
            raise _foreign(path)
        file.truncate(file.seek(0))
        return file, START
    file.truncate(file.seek(start + whole))
    try:
        cursor = json.loads(tail[:whole].splitlines()[-1])["cursor"]
        position(cursor)
    except (InvalidInputError, KeyError, TypeError, ValueError):
        file.close()
        raise _foreign(path) from None
    return file, cursor


def _foreign(path: Path) -> InvalidInputError:
    return InvalidInputError(f"{path} is no export that could be gone on with", field="to")
