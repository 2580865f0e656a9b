"""Under a real uvicorn: request tasks inherit nothing from the task that opened the handle."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import pytest

from tests.support.checkout import TOP

REQUESTS = 100

Service = tuple[httpx.AsyncClient, asyncio.subprocess.Process]


@asynccontextmanager
async def serving(url: str, loop: str) -> AsyncIterator[Service]:
    """The service in a process of its own, and a client for it."""
    with TemporaryDirectory(prefix="digitwin-uvicorn-") as folder:
        socket = f"{folder}/socket"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "tests.acceptance.service:app"),
            *("--uds", socket, "--loop", loop, "--no-access-log"),
            cwd=TOP,
            env=os.environ | {"DIGITWIN_DATABASE_URL": url},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await _until_ready(process)
            transport = httpx.AsyncHTTPTransport(uds=socket)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://service", timeout=60
            ) as client:
                yield client, process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(30):
        while "Uvicorn running on" not in said:
            line = (await process.stderr.readline()).decode()
            assert line, said
            said += line


@pytest.fixture(params=["asyncio", "uvloop"])
async def service(request: pytest.FixtureRequest, digitwin_url: str) -> AsyncIterator[Service]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    async with serving(digitwin_url, request.param) as service:
        yield service


async def test_requests_in_flight_at_once(service: Service, digitwin_url: str) -> None:
    """Far more of them than connections."""
    client, _ = service
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(client.post(f"/talk/ada{n}") for n in range(REQUESTS)))
    for n, answer in enumerate(answers):
        assert (answer.status_code, answer.json()) == (200, {"heard": [f"I am ada{n}."]})
    pool = (await client.get("/health")).json()
    assert pool == {"in_use": 0, "waiting": 0, "size": pool["size"]}
    assert pool["size"] <= 4
    assert await count(digitwin_url, "audit_logs WHERE action = 'talked'") == REQUESTS


async def test_told_to_stop_it_finishes_what_is_in_flight(
    service: Service, digitwin_url: str
) -> None:
    client, process = service
    async with asyncio.timeout(30):
        thought = asyncio.ensure_future(client.post("/think"))
        await client.get("/thinking")
        process.send_signal(signal.SIGTERM)
        assert (await thought).json() == {"thought": True}
        await process.wait()
    assert await count(digitwin_url, "users") == 1
    others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with asyncio.timeout(10):  # a backend ends a moment after its client
        while await count(digitwin_url, others):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def count(url: str, of: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {of}"))
    finally:
        await connection.close()
