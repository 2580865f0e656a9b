"""Read-only snapshots of the whole database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from digitwin.kernel.connection.transactions import begin, end
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.executor import OnConnection, cursor
from digitwin.kernel.sql.queries import Query

_REPEATABLE_READ = (
    "SET LOCAL transaction_isolation = 'repeatable read'; SET LOCAL transaction_read_only = on"
)
_OUTPUT_FORMAT = "SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1"


class Snapshot(OnConnection):
    """Statements in one read-only, repeatable-read transaction."""

    async def rows(
        self, query: Query, values: Mapping[str, Any], *, batch: int
    ) -> AsyncGenerator[Any, None]:
        """Yield the first column of each row, fetching ``batch`` rows at a time."""
        given = query.bind(values)
        async with aclosing(cursor(self._own, query.sql, given, batch)) as rows:
            async for row in rows:
                yield row[0]

    async def _own(self) -> Any:
        return self.connection


@asynccontextmanager
async def snapshot(core: Core) -> AsyncIterator[Snapshot]:
    """Open a snapshot in the core's scope; it holds a connection until the block ends."""
    connection, well = await core.pool.acquire_long(), False
    try:
        await begin(connection, core.scope)
        try:
            one = Snapshot(connection)
            await one.execute(_REPEATABLE_READ)
            await one.execute(_OUTPUT_FORMAT)
            yield one
            well = True
        finally:
            await end(connection, failed=True)
    finally:
        await core.pool.release_long(connection, well=well)


async def lines(
    on: Snapshot, query: Query, values: Mapping[str, Any], *, batch: int, size: int
) -> AsyncGenerator[list[str], None]:
    """Yield JSON rows in lists of about ``size`` characters, large enough to compress well."""
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
