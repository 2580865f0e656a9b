"""A worker of the document queue, and time that passes."""

from __future__ import annotations

from typing import Any

import asyncpg

from digitwin import Lease
from digitwin.database import Database


async def claim(db: Database, worker: str = "w1", **more: Any) -> Lease:
    lease = await db.documents.claim(worker=worker, lease_seconds=60, **more)
    assert lease is not None
    return lease


async def let_lapse(raw: asyncpg.Connection) -> None:
    """Let every lease expire a second ago."""
    await raw.execute(
        "UPDATE knowledge_documents SET lease_until = now() - interval '1 s'"
        " WHERE lease_until IS NOT NULL"
    )
