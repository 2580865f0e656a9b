"""The server's own client programs, run on a test's database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.kernel.connection.dsn import Target
from digitwin.servers import cluster, embedded
from tests.faults.server import DEBIAN


async def programs_of(db: Database) -> Path:
    """Where the programs of the server's own version are."""
    if str((await db.health()).server_version).startswith("15"):
        return DEBIAN
    if not embedded.is_installed():
        pytest.skip("needs the programs of digitwin[embedded]")
    return cluster.program("pg_dump").parent


async def run(*command: str | Path) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def dump(db: Database, *options: str) -> str:
    """A dump of the whole database, as plain SQL."""
    return await run(await programs_of(db) / "pg_dump", *options, db._target.url)


@asynccontextmanager
async def restored(db: Database, file: Path) -> AsyncIterator[Target]:
    """A new database made from a dump in PostgreSQL's own format."""
    programs, source = await programs_of(db), db._target
    goal = replace(source, database=f"{source.database}_restored")
    connection = await asyncpg.connect(source.url)
    try:
        await connection.execute(f"CREATE DATABASE {goal.database} TEMPLATE template0")
        await run(programs / "pg_restore", "-d", goal.url, file)
        yield goal
    finally:
        await connection.execute(f"DROP DATABASE {goal.database} WITH (FORCE)")
        await connection.close()
