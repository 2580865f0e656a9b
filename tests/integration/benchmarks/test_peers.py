"""The peers that send digitwin's statements do the work that digitwin does."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

contestants = pytest.importorskip("benchmarks.contestants")
filling = pytest.importorskip("benchmarks.filling")
floor = pytest.importorskip("benchmarks.peers.floor")
node = pytest.importorskip("benchmarks.node")
operations = pytest.importorskip("benchmarks.operations")
peers = pytest.importorskip("benchmarks.peers")
recording = pytest.importorskip("benchmarks.recording")
servers = pytest.importorskip("benchmarks.servers")
base = pytest.importorskip("benchmarks.peers.base")

SIZE = filling.Size(
    users=20, sessions=4, written=4, embeddings=5, responses=5, buckets=20, drawn=10
)
OPERATIONS = [*operations.OPERATIONS.values()]


@pytest.fixture
async def place(digitwin_url: str) -> Any:
    """Where rows are, with what digitwin sends."""
    await filling.fill(digitwin_url, SIZE)
    statements = await recording.record(base.Place(digitwin_url), OPERATIONS, SIZE)
    return base.Place(digitwin_url, statements=statements)


async def proven(kind: Any, place: Any, operation: Any) -> bool:
    """Whether each of two calls does the work."""
    peer = kind(place)
    await peer.open()
    try:
        arguments = operation.arguments(SIZE)[:2]
        await peer.prepare(operation.call, arguments)
        method = getattr(peer, operation.call)
        return all([operation.proof(await method(*each), each) for each in arguments])
    finally:
        await peer.close()


@pytest.mark.parametrize("where", ["floor:Floor", "floor:Pool", "psycopg3:Psycopg"])
async def test_what_was_recorded_does_the_work_of_each_operation(place: Any, where: str) -> None:
    if where.startswith("psycopg3"):
        pytest.importorskip("psycopg_pool")
    kind = peers.Entry(where, where).load()
    assert [each.name for each in OPERATIONS if not await proven(kind, place, each)] == []


async def test_the_texts_of_turns_are_read_where_they_are(place: Any) -> None:
    peer = floor.Floor(place)
    await peer.open()
    operation = operations.OPERATIONS["session_with_turns"]
    await peer.prepare(operation.call, ())
    session, *turns = await peer.session_with_turns(*operation.arguments(SIZE)[0])
    columns = place.statements[operation.call].columns
    await peer.close()
    assert session[columns.index("external_id")].startswith("call-")
    assert {turn[columns.index("user_text")][:15] for turn in turns} == {"When are you op"}
    assert {turn[columns.index("twin_text")][:12] for turn in turns} == {"From nine to"}


async def test_the_simple_bucket_subtracts_one(place: Any, raw: asyncpg.Connection) -> None:
    assert await proven(floor.SimpleBucket, place, operations.OPERATIONS["consume"])
    limit, calls = 1_000_000, 2
    taken = await raw.fetchval("SELECT sum($1::float8 - tokens) FROM bench.buckets", limit)
    assert taken == calls


async def test_each_added_turn_gets_an_id_of_its_own(place: Any) -> None:
    statement = place.statements["add_turn"]
    arguments = operations.OPERATIONS["add_turn"].arguments(SIZE)[0]
    ((n, listed),) = statement.fresh
    ids = [statement.bind(arguments)[n] for _ in range(3)]
    assert len({*map(str, ids)}) == 3
    assert listed is isinstance(ids[0], list)


@pytest.fixture
async def process(place: Any) -> AsyncIterator[Any]:
    started = contestants.PythonProcess("floor", place, SIZE, uvloop=False)
    yield contestants.Contestant("floor", [started])
    started.close()


async def test_a_process_measures_its_own_turn(process: Any) -> None:
    assert process.offers(operations.OPERATIONS["user_get"])
    turn = process.turn(4, 0.05)
    assert len(turn.latencies) >= 4
    assert turn.cpu > 0
    assert max(turn.latencies) <= turn.seconds * 1e9


async def test_a_failure_of_a_peer_is_raised_where_it_is_measured(
    process: Any, raw: asyncpg.Connection
) -> None:
    await raw.execute("ALTER TABLE user_emails RENAME TO gone")
    with pytest.raises(RuntimeError, match=r"(?s)floor: .*user_emails"):
        process.offers(operations.OPERATIONS["user_by_email"])


@pytest.mark.skipif(
    not shutil.which("node") or not (node.PROGRAM / "node_modules" / "pg").is_dir(),
    reason="`make bench` installs node-pg, where Node.js is there",
)
async def test_node_does_the_work_of_each_operation(place: Any) -> None:
    pytest.importorskip("psycopg")  # it reads the URL
    process = node.NodeProcess(place, SIZE)
    try:
        for operation in OPERATIONS:
            process.prepare(operation)
            assert process.is_ready()
        process.start(2, 0.05)
        assert len(process.finish().latencies) >= 2
    finally:
        process.close()


async def test_a_servers_processor_time_grows_with_its_work(raw: asyncpg.Connection) -> None:
    postmaster = servers.postmaster(await raw.fetchval("SELECT pg_backend_pid()"))
    before = postmaster and servers.cpu_seconds(postmaster)
    if before is None:
        pytest.skip("the system does not tell a process's time")
    await raw.execute("SELECT count(*) FROM generate_series(1, 1000000)")
    assert servers.cpu_seconds(postmaster) > before
