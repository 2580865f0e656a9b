"""How often each endpoint was allowed and denied: counted in memory, written in batches."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from digitwin.errors import DigiTwinError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.counter_buffer import Batch, Buffer
from digitwin.kernel.sql.queries import load
from digitwin.limits.buckets import columns
from digitwin.limits.decision import EndpointUsage
from digitwin.limits.fields import Bucket

BATCH: Final = 1000
"""Rows removed by one statement of ``purge``."""

_logger = logging.getLogger(__name__)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = load(__package__)


class Usage:
    """What one handle decided, until it is written, and what all have decided."""

    def __init__(self, core: Core) -> None:
        self._aside = core.aside
        self._buffer = Buffer(self._write, interval=core.settings.flush_interval)
        self._buffer.start()

    def count(self, bucket: Bucket, allowed: bool) -> None:
        """One decision."""
        if allowed:
            self._buffer.add((bucket.endpoint, bucket.subject), allowed=1)
        else:
            self._buffer.add((bucket.endpoint, bucket.subject), denied=1)

    async def read(self, subject: str | None, since: datetime | None) -> list[EndpointUsage]:
        """By hour and endpoint, the oldest first; what this handle has counted is written first."""
        await self._buffer.flush()
        start = since or _BEGINNING
        if subject is None:
            rows = await self._aside.fetch(_SQL["usage"].format(subject=""), start)
        else:
            query = _SQL["usage"].format(subject=" AND subject = $2")
            rows = await self._aside.fetch(query, start, subject)
        return [EndpointUsage(**row) for row in rows]

    async def purge(self, age: float) -> None:
        """Remove what is older than so many seconds."""
        while await self._aside.fetchval(_SQL["purge_usage_batch"], age, BATCH) == BATCH:
            pass

    async def flush(self) -> None:
        """Write what this handle has counted."""
        await self._buffer.flush()

    async def close(self) -> None:
        """Write the rest; a database that is gone does not keep the handle from closing."""
        try:
            await self._buffer.stop()
        except DigiTwinError as error:
            _logger.warning("limits: %d counts could not be written: %s", len(self._buffer), error)

    async def _write(self, batch: Batch) -> None:
        counted = (
            (endpoint, subject, counts.get("allowed", 0), counts.get("denied", 0))
            for (endpoint, subject), counts in batch.items()
        )
        await self._aside.execute(_SQL["count_usage"], *columns(counted))
