"""One moment of the whole database, for as long as somebody reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from digitwin.kernel.connection import driver_errors
from digitwin.kernel.connection.transactions import begin, end
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import OnConnection
from digitwin.kernel.sql.queries import Query

_ONE_MOMENT = (
    "SET LOCAL transaction_isolation = 'repeatable read'; SET LOCAL transaction_read_only = on"
)
_SPELLING = "SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1"


class Snapshot(OnConnection):
    """Statements that all see the same moment and can change nothing."""

    async def rows(
        self, query: Query, values: Mapping[str, Any], *, batch: int
    ) -> AsyncGenerator[Any, None]:
        """The first column of each row, ``batch`` rows at a time."""
        try:
            cursor = self.connection.cursor(
                query.sql,
                *query.bind(values),
                prefetch=batch,
                timeout=self.connection.deadline.limit,
            )
            async for row in cursor:
                yield row[0]
        except driver_errors.DRIVER as fault:
            raise driver_errors.translate(fault) or fault from fault


@asynccontextmanager
async def snapshot(core: Core) -> AsyncIterator[Snapshot]:
    """Hold a connection, and a moment, until the block ends, on behalf of the core's scope."""
    connection, well = await core.pool.acquire_long(), False
    try:
        await begin(connection, core.scope)
        try:
            one = Snapshot(connection)
            await one.execute(_ONE_MOMENT)
            await one.execute(_SPELLING)
            yield one
            well = True
        finally:
            await end(connection, failed=True)
    finally:
        await core.pool.release_long(connection, well=well)


async def lines(
    on: Snapshot, query: Query, values: Mapping[str, Any], *, batch: int, size: int
) -> AsyncGenerator[list[str], None]:
    """Rows of JSON in lists of about ``size`` characters, so that each is worth compressing."""
    gathered: list[str] = []
    held = 0
    async with aclosing(on.rows(query, values, batch=batch)) as rows:
        async for row in rows:
            gathered.append(row)
            held += len(row)
            if held >= size:
                yield gathered
                gathered, held = [], 0
    if gathered:
        yield gathered
