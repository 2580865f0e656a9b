"""A schema as PostgreSQL has it, in text that a person can read and a diff can show.

``make snapshot`` writes it to ``schema.txt``. The months of the audit trail are left out:
they go with the calendar.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import asyncpg

from digitwin.kernel.migrations import upgrade
from digitwin.servers import embedded
from digitwin.settings import Settings

SNAPSHOT = Path(__file__).with_name("schema.txt")

_TABLES = """
SELECT oid, relname, relkind::text, relispartition, reloptions,
       pg_get_partkeydef(oid) AS partition_key, pg_get_expr(relpartbound, oid, true) AS bounds
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND relname !~ '^audit_logs_y[0-9]{4}m[0-9]{2}$'
ORDER BY relname
"""
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull,
       attgenerated <> '' AS generated, pg_get_expr(adbin, adrelid, true) AS expression
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid, true) AS definition FROM pg_constraint
WHERE conrelid = $1 AND contype <> 'n' ORDER BY contype = 'c', conname
"""
_INDEXES = """
SELECT pg_get_indexdef(indexrelid, 0, true) AS definition, indisvalid
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = $1 AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid
                                    AND conrelid = indrelid)
ORDER BY relname
"""
_TRIGGERS = """
SELECT pg_get_triggerdef(oid, true) AS definition FROM pg_trigger
WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY tgname
"""
_FUNCTIONS = """
SELECT pg_get_function_identity_arguments(oid) AS arguments, proname, prosrc,
       replace(array_to_string(proconfig, ' '), current_schema(), 'SCHEMA') AS settings
FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace ORDER BY proname
"""
_SEQUENCES = """
SELECT sequencename, data_type::text FROM pg_sequences
WHERE schemaname = current_schema() ORDER BY 1
"""


async def read(connection: asyncpg.Connection) -> str:
    """Everything the connection's schema holds."""
    parts = [await _table(connection, row) for row in await connection.fetch(_TABLES)]
    parts += [
        f"function {row['proname']}({row['arguments']}) {row['settings']}\n{row['prosrc'].strip()}"
        for row in await connection.fetch(_FUNCTIONS)
    ]
    parts += [
        f"sequence {row['sequencename']} {row['data_type']}"
        for row in await connection.fetch(_SEQUENCES)
    ]
    return "\n\n".join(parts) + "\n"


async def _table(connection: asyncpg.Connection, table: asyncpg.Record) -> str:
    if table["relispartition"]:
        return f"partition {table['relname']} {table['bounds']}"
    title = f"table {table['relname']}"
    if table["partition_key"]:
        title += f" partitioned by {table['partition_key']}"
    if table["reloptions"]:
        title += f" with {', '.join(table['reloptions'])}"
    lines = [_column(row) for row in await connection.fetch(_COLUMNS, table["oid"])]
    lines += [
        f"{row['conname']}: {row['definition']}"
        for row in await connection.fetch(_CONSTRAINTS, table["oid"])
    ]
    lines += [
        row["definition"] + ("" if row["indisvalid"] else " INVALID")
        for row in await connection.fetch(_INDEXES, table["oid"])
    ]
    lines += [row["definition"] for row in await connection.fetch(_TRIGGERS, table["oid"])]
    return "\n    ".join([title, *lines])


def _column(row: asyncpg.Record) -> str:
    line = f"{row['attname']} {row['type']}{' not null' if row['attnotnull'] else ''}"
    if row["generated"]:
        return f"{line} generated {row['expression']}"
    return f"{line} default {row['expression']}" if row["expression"] else line


async def _renew() -> None:
    with tempfile.TemporaryDirectory(prefix="digitwin-snapshot-") as folder:
        server = await embedded.acquire(Path(folder))
        await upgrade.upgrade(server.target, Settings())
        connection = await asyncpg.connect(server.url)
        SNAPSHOT.write_text(await read(connection))
        await connection.close()
        await server.release()


if __name__ == "__main__":
    asyncio.run(_renew())
