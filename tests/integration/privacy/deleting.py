"""Deletes artifacts one after the other, until it is killed: run by ``test_artifact_kills.py``."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

import digitwin


async def main(url: str, session: str) -> None:
    async with digitwin.connect(url, migrate="skip") as db:
        print("begun", flush=True)
        for row in (await db.sessions.artifacts(UUID(session), limit=1000)).items:
            await db.sessions.delete_artifact(row.id)
            print(row.id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
