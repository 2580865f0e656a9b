"""Allowed and denied calls by endpoint: counted in memory and written in batches."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from digitwin.errors import DigiTwinError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.counter_buffer import Batch, CounterBuffer
from digitwin.kernel.sql.queries import Queries
from digitwin.kernel.sql.spelling import id_in
from digitwin.limits.decision import EndpointUsage
from digitwin.limits.fields import Bucket

BATCH: Final = 1000
"""Rows deleted by one statement of ``purge``."""

_logger = logging.getLogger(__name__)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
QUERIES = Queries(__package__, counted_id=id_in("counted.subject"))


class UsageCounters:
    """Counts the decisions of one handle, and reads those of all."""

    def __init__(self, core: Core) -> None:
        self._aside = core.aside
        self._buffer = CounterBuffer(self._write, interval=core.settings.flush_interval)
        self._buffer.start()

    def count(self, bucket: Bucket, allowed: bool) -> None:
        """Count one decision."""
        if allowed:
            self._buffer.add((bucket.endpoint, bucket.subject), allowed=1)
        else:
            self._buffer.add((bucket.endpoint, bucket.subject), denied=1)

    async def read(self, subject: str | None, since: datetime | None) -> list[EndpointUsage]:
        """Return the usage by hour and endpoint, oldest first; writes pending counts first."""
        await self._buffer.flush()
        query = QUERIES.variant("usage", whose="" if subject is None else "AND subject = :subject")
        rows = await self._aside.fetch(query, since=since or _BEGINNING, subject=subject)
        return [EndpointUsage(**row) for row in rows]

    async def purge(self, age: float) -> None:
        """Delete usage older than ``age`` seconds."""
        query = QUERIES["purge_usage_batch"]
        while await self._aside.fetchval(query, age=age, batch=BATCH) == BATCH:
            pass

    async def flush(self) -> None:
        """Write pending counts."""
        await self._buffer.flush()

    async def close(self) -> None:
        """Write pending counts; a failure is logged and does not keep the handle from closing."""
        try:
            await self._buffer.stop()
        except DigiTwinError as error:
            _logger.warning("limits: %d counts could not be written: %s", len(self._buffer), error)

    async def _write(self, batch: Batch) -> None:
        await self._aside.execute(
            QUERIES["count_usage"],
            endpoints=[endpoint for endpoint, _ in batch],
            subjects=[subject for _, subject in batch],
            allowed=[counts.get("allowed", 0) for counts in batch.values()],
            denied=[counts.get("denied", 0) for counts in batch.values()],
        )
