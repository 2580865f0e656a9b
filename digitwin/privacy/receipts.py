"""What is left of an erasure: that it was done, how much there was, what still waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from digitwin.errors import NotFoundError
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.repository.paging import Page, decode_cursor, encode_cursor
from digitwin.kernel.sql.queries import Queries
from digitwin.privacy.scan import Scan
from digitwin.privacy.subjects import SubjectKind

QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """One erasure, without a word of whom it was about."""

    id: UUID
    subject: SubjectKind
    subject_hash: str
    """By which the erased are known: see SECURITY.md for what it tells."""
    reason: str
    counts: Mapping[str, int]
    """Rows removed or emptied, by table."""
    pending_artifacts: int
    """Voices and faces that are not deleted yet where they are kept."""
    begun_at: datetime
    completed_at: datetime | None
    """None for one that was broken off: erase again, or run a replay."""
    scan: Scan | None = None
    """With ``verify=True``: what a look through the whole database still found."""


def receipt(row: Any, scan: Scan | None = None) -> ErasureReceipt:
    """As a row of ``erasures`` tells it."""
    values = {**row, "counts": json.loads(row["counts"])}
    return ErasureReceipt(**values, scan=scan)


async def get(on: Statements, id: UUID) -> ErasureReceipt:
    """One receipt, with what waits by now.

    Raises:
        NotFoundError: there is no such erasure.
    """
    row = await on.fetchrow(QUERIES["receipt"], id=id)
    if row is None:
        raise NotFoundError("erasure not found", id=str(id))
    return receipt(row)


async def page(on: Statements, limit: int, after: str | None) -> Page[ErasureReceipt]:
    """Receipts, the newest first."""
    before = None if after is None else decode_cursor(after)
    rows = await on.fetch(QUERIES["receipts"], before=before, limit=limit + 1)
    items = [receipt(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].id) if len(rows) > limit else None)
