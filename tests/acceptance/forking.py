"""A process that forks with a handle open, and tells what its child and it met, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.models import User

PIDS = "SELECT pg_backend_pid()"


async def ready(db: Database) -> object:
    return await db.ready()


async def health(db: Database) -> object:
    found = await db.health()
    return [found.ok, found.error]


async def call(db: Database) -> object:
    return await db.users.count()


async def scope(db: Database) -> object:
    return await db.for_user("018f0000-0000-7000-8000-000000000001").users.count()


async def transaction(db: Database) -> object:
    async with db.transaction():
        return "entered"


async def stream(db: Database) -> object:
    return [user.name async for user in db.users.stream()]


async def model(db: Database) -> object:
    return await User.all().count()


async def lease(db: Database) -> object:
    return bool(await db.limits.consume("ada", "/chat", limit=10, window=60, lease=5))


async def left_task(db: Database) -> object:
    """As a background task of the parent would, if its loop ran on in the child."""
    return await db._core.aside.fetchval(PIDS)


async def close(db: Database) -> object:
    await db.close()
    return "closed"


async def own_handle(db: Database) -> object:
    async with connect(db._target.url) as own:
        await own.users.create(email=f"{os.getpid()}@example.com", name="Child")
        return [await own.ready(), await User.all().count() > 0]


async def socket(db: Database) -> object:
    """Past everything of ours, on connections that the parent has idle; then say goodbye."""
    connections = [each for each, _ in db._core.pool._idle_connections._idle]
    try:
        return await connections[0].fetchval(PIDS)
    finally:
        for connection in connections:
            connection._transport.write(b"X\0\0\0\4")
            connection.terminate()


DEEDS: dict[str, Callable[[Database], Awaitable[object]]] = {
    deed.__name__: deed
    for deed in (
        ready,
        health,
        call,
        scope,
        transaction,
        stream,
        model,
        lease,
        left_task,
        close,
        own_handle,
        socket,
    )
}


def fork(
    deed: Callable[[Database], Awaitable[object]],
    db: Database,
    loop: asyncio.AbstractEventLoop | None = None,
) -> str:
    """What a forked child met that does this and exits.

    It runs on the parent's loop or, without one, on its own.
    """
    run = asyncio.run if loop is None else loop.run_until_complete
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            met = json.dumps(run(deed(db)))  # type: ignore[arg-type]
        except DigiTwinError as error:
            met = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - the parent shows it
            met = f"foreign {error!r}"
        os.write(writing, met.encode()[:4000])
        os._exit(0)
    os.close(writing)
    met = b""
    while piece := os.read(reading, 4096):
        met += piece
    os.close(reading)
    os.waitpid(child, 0)
    return met.decode()


def work(url: str, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> dict[str, Any]:
    """Do every deed in a child on a loop of its own, on the parent's, and inside a call."""
    told: dict[str, Any] = {}
    loop = new_loop()
    run = loop.run_until_complete
    db = run(_opened(url))
    for name, deed in DEEDS.items():
        for where in (None, loop):
            key = f"{name} on {'its own' if where is None else 'the same'} loop"
            before = run(db._core.db.fetchval(PIDS))
            told[key] = fork(deed, db, where), run(parent(db, before))
    for deed in (call, transaction, stream, socket):
        told[f"{deed.__name__} inside"] = run(inside(db, deed))
    for leaving in ("exit", "commit"):
        told[leaving] = run(unwinds(db, leaving))
    run(db.close())
    loop.close()
    return told


async def unwinds(db: Database, leaving: str) -> tuple[str, str]:
    """Fork in a transaction and a stream; the child leaves both by an exception, as by exit()."""
    before = await db._core.db.fetchval(PIDS)
    here = os.getpid()
    reading, writing = os.pipe()
    try:
        async for _ in db.users.stream():
            async with db.transaction():
                await db.users.count()
                if (child := os.fork()) == 0:
                    if leaving == "exit":
                        sys.exit(3)
                else:
                    os.waitpid(child, 0)  # noqa: ASYNC222 - as a process that waits for it
    except BaseException as error:  # noqa: BLE001 - told
        os.write(writing, f"{type(error).__name__}: {error}".encode())
    finally:
        if os.getpid() != here:
            os._exit(0)
    os.close(writing)
    met = os.read(reading, 4096).decode()
    os.close(reading)
    return met, await parent(db, before)


async def _opened(url: str) -> Database:
    db = await connect(url, pool_max=3)
    await db.users.create(email="ada@example.com", name="Ada")
    await asyncio.gather(db.users.count(), db.users.count(), db.users.count())
    await db.limits.consume("ada", "/chat", limit=10, window=60, lease=5)
    return db


async def inside(db: Database, deed: Callable[[Database], Awaitable[object]]) -> tuple[str, str]:
    """Fork in the middle of a transaction and of a stream."""
    before = await db._core.db.fetchval(PIDS)
    async with db.transaction():
        met = fork(deed, db)
        await db.users.count()
        async for _ in db.users.stream():
            met = fork(deed, db)
    return met, await parent(db, before)


async def parent(db: Database, pid: int) -> str:
    """Whether the parent goes on, on the connection it had."""
    try:
        async with asyncio.timeout(10):
            for _ in range(20):
                await db.users.count()
            async with db.transaction():
                await db.users.count()
    except BaseException as error:  # noqa: BLE001 - told
        return repr(error)
    return "well" if await db._core.db.fetchval(PIDS) == pid else "another connection"


if __name__ == "__main__":
    new_loop = import_module(sys.argv[2]).new_event_loop
    print(json.dumps(work(sys.argv[1], new_loop)))
