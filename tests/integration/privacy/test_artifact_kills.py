"""A process that dies while it deletes: each object is either stored or queued, once."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncpg

from digitwin.database import Database

FILES = 150


async def test_killed_while_deleting(
    digitwin_db: Database, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    session = await digitwin_db.sessions.start(ada.id)
    for n in range(FILES):
        await digitwin_db.sessions.add_artifact(
            session.id, kind="file", artifact_uri=f"s3://file/{n:03}"
        )
    told = 0
    for after in (1, 7, 23):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.privacy.deleting"),
            *(digitwin_url, str(session.id)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(after + 1):
            assert await process.stdout.readline()
        process.kill()
        told += after + len((await process.communicate())[0].splitlines())
        await _until_gone(raw)
    kept = {
        row.artifact_uri
        for row in (await digitwin_db.sessions.artifacts(session.id, limit=1000)).items
    }
    asked: list[str] = []

    async def hook(artifact: Any) -> None:
        asked.append(artifact.address)

    digitwin_db.privacy.artifacts.deleter = hook
    await digitwin_db.privacy.deliver()
    assert len(asked) == len(set(asked)) >= told
    assert kept.isdisjoint(asked)
    assert kept | set(asked) == {f"s3://file/{n:03}" for n in range(FILES)}
    removed = "SELECT count(*) FROM audit_logs WHERE action = 'session_artifact.hard_delete'"
    assert await raw.fetchval(removed) == len(asked)


async def _until_gone(raw: asyncpg.Connection) -> None:
    """Return once the server has ended the killed process's transaction."""
    writing = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        " AND backend_type = 'client backend'"
    )
    async with asyncio.timeout(10):
        while await raw.fetchval(writing):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
