"""Receipts of erasures."""

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
    """Receipt of one erasure; contains no personal data."""

    id: UUID
    subject: SubjectKind
    subject_hash: str
    """Hash of the erased person's id; SECURITY.md describes what it reveals."""
    reason: str
    counts: Mapping[str, int]
    """Rows deleted or redacted, by table."""
    pending_artifacts: int
    """Voices, faces and files of sessions not yet deleted from external storage."""
    begun_at: datetime
    completed_at: datetime | None
    """None if the erasure was interrupted: erase again, or run a replay."""
    scan: Scan | None = None
    """Result of the database scan, with ``verify=True``. False, with the tables that were not read
    in ``unread``, if the connection failed meanwhile: the erasure is complete all the same."""


def receipt(row: Any, scan: Scan | None = None) -> ErasureReceipt:
    """Build a receipt from a row of ``erasures``."""
    values = {**row, "counts": json.loads(row["counts"])}
    return ErasureReceipt(**values, scan=scan)


async def get(on: Statements, id: UUID) -> ErasureReceipt:
    """Return one receipt, with the artifacts that are pending now.

    Raises:
        NotFoundError: there is no such erasure.
    """
    row = await on.fetchrow(QUERIES["receipt"], id=id)
    if row is None:
        raise NotFoundError("erasure not found", id=str(id))
    return receipt(row)


async def finished(on: Statements, subject: SubjectKind, digest: str) -> ErasureReceipt | None:
    """Return the receipt of the last completed erasure of a subject, or None."""
    row = await on.fetchrow(QUERIES["finished"], subject=subject, subject_hash=digest)
    return None if row is None else receipt(row)


async def page(on: Statements, limit: int, after: str | None) -> Page[ErasureReceipt]:
    """Return a page of receipts, newest first."""
    before = None if after is None else decode_cursor(after)
    rows = await on.fetch(QUERIES["receipts"], before=before, limit=limit + 1)
    items = [receipt(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].id) if len(rows) > limit else None)
