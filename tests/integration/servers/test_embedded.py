"""One embedded server for all who name its folder, up exactly as long as somebody needs it."""

import asyncio
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from digitwin.errors import ConfigurationError, ConnectionFailedError
from digitwin.servers import cluster, embedded

pytestmark = pytest.mark.skipif(not embedded.is_installed(), reason="needs digitwin[embedded]")

USE_UNTIL_TOLD = """
import asyncio, sys
from pathlib import Path
from digitwin.servers import embedded

async def main():
    server = await embedded.acquire(Path(sys.argv[1]))
    print(server.url, flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "release":
        await server.release()

asyncio.run(main())
"""

OPEN = """
import os, socket, sys

os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""

FORK = """
import asyncio, os, sys
from pathlib import Path
from digitwin.servers import embedded

home = Path(sys.argv[1])
server = asyncio.run(embedded.acquire(home))
claimed, child_claimed = os.pipe()
end, end_it = os.pipe()
if os.fork() == 0:
    os.close(end_it)
    asyncio.run(embedded.acquire(home))
    os.write(child_claimed, b"!")
    os.read(end, 1)
    sys.exit()
os.read(claimed, 1)
asyncio.run(server.release())
print("released", embedded._running(home) is not None)
os.close(end_it)
os.wait()
"""


@pytest.fixture(scope="module")
def cluster_made_once() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="digitwin-embedded-"))
    asyncio.run(_start_and_stop(home))
    yield home
    cluster.stop(home / "data")
    shutil.rmtree(home)


async def _start_and_stop(home: Path) -> None:
    await (await embedded.acquire(home)).release()


@pytest.fixture
def home(cluster_made_once: Path) -> Iterator[Path]:
    yield cluster_made_once
    embedded._stop(cluster_made_once)


def another_process(home: Path, end: str = "release") -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", USE_UNTIL_TOLD, str(home), end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def ended(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=30)


def give(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)


async def answers(target: embedded.Target | None) -> bool:
    assert target is not None
    connection = await asyncpg.connect(**target.connect_args())
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


async def test_it_is_there_between_the_first_claim_and_the_last_release(home: Path) -> None:
    assert await embedded.running(home) is None
    first = await embedded.acquire(home)
    second = await embedded.acquire(home)
    await first.release()
    assert await answers(second.target)
    await second.release()
    assert await embedded.running(home) is None


async def test_claims_made_at_once_meet_one_server(home: Path) -> None:
    servers = await asyncio.gather(*(embedded.acquire(home) for _ in range(5)))
    assert len({server.url for server in servers}) == 1
    await asyncio.gather(*(server.release() for server in servers))
    assert await embedded.running(home) is None


async def test_a_claim_given_back_twice_is_not_another_ones_claim(home: Path) -> None:
    first, second = await embedded.acquire(home), await embedded.acquire(home)
    await first.release()
    await first.release()
    assert await answers(second.target)
    await second.release()


@pytest.mark.parametrize("end", ["release", "just exit"])
async def test_the_last_process_stops_it(home: Path, end: str) -> None:
    server = await embedded.acquire(home)
    other = another_process(home, end)
    await server.release()
    assert await answers(await embedded.running(home))
    ended(other)
    assert await embedded.running(home) is None


async def test_a_killed_process_is_not_waited_for(home: Path) -> None:
    other = another_process(home)
    other.send_signal(signal.SIGKILL)
    ended(other)
    await (await embedded.acquire(home)).release()
    assert await embedded.running(home) is None


async def test_kept_it_outlives_every_claim_until_it_is_stopped(home: Path) -> None:
    await (await embedded.acquire(home, keep=True)).release()
    ended(another_process(home))
    assert await answers(await embedded.running(home))
    assert await embedded.stop(home)
    assert await embedded.running(home) is None
    assert not await embedded.stop(home)


async def test_stopping_ends_keeping(home: Path) -> None:
    await (await embedded.acquire(home, keep=True)).release()
    await embedded.stop(home)
    await _start_and_stop(home)
    assert await embedded.running(home) is None


async def test_a_claim_after_another_process_stopped_it_starts_it_again(home: Path) -> None:
    first = await embedded.acquire(home)
    cluster.stop(home / "data")
    second = await embedded.acquire(home)
    assert await answers(second.target)
    await first.release()
    await second.release()


async def test_a_pid_left_by_a_crash_may_be_anybodys(home: Path) -> None:
    server = await embedded.acquire(home)
    pid_file = home / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    await server.release()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert await embedded.running(home) is None
    server = await embedded.acquire(home)
    assert await answers(server.target)
    await server.release()


async def test_a_cancelled_claim_is_given_back(home: Path) -> None:
    claiming = asyncio.create_task(embedded.acquire(home))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await _start_and_stop(home)
    assert await embedded.running(home) is None


def test_a_forked_child_claims_for_itself(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(home)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["released", "True"]
    assert embedded._running(home) is None


async def test_a_new_folder_claimed_by_many_processes_at_once_is_made_once() -> None:
    home = Path(tempfile.mkdtemp(prefix="digitwin-embedded-"))
    try:
        others = await asyncio.gather(*(asyncio.to_thread(another_process, home) for _ in range(4)))
        assert await answers(await embedded.running(home))
        await asyncio.gather(*(asyncio.to_thread(ended, other) for other in others))
        assert await embedded.running(home) is None
    finally:
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be given a stranger's folder")
async def test_root_leaves_a_users_folder_theirs(home: Path) -> None:
    data, nobody = home / "data", pwd.getpwnam("nobody")
    ours = data.stat()
    give(data, nobody.pw_uid, nobody.pw_gid)
    try:
        server = await embedded.acquire(home)
        assert await answers(server.target)
        await server.release()
        assert {path.stat().st_uid for path in data.rglob("*")} == {nobody.pw_uid}
    finally:
        give(data, ours.st_uid, ours.st_gid)


async def test_git_does_not_see_the_folder(home: Path) -> None:
    assert (home / ".gitignore").read_text() == "*\n"


async def test_a_folder_with_a_space_and_a_long_path(tmp_path: Path) -> None:
    base = Path(tempfile.mkdtemp(prefix="digitwin embedded "))
    home = base / ("long " * 20)
    try:
        server = await embedded.acquire(home)
        assert await answers(server.target)
        await server.release()
    finally:
        shutil.rmtree(base)


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="others start no server for another user")


def kill_server(home: Path) -> None:
    pid = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(timeout=30)


def is_gone(path: Path) -> bool:
    return not path.exists()


def owner(path: Path) -> int:
    return path.stat().st_uid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_sockets_folder_is_its_owners_alone(home: Path) -> None:
    server = await embedded.acquire(home)
    assert server.target.host == str(home / "data")
    assert mode(home / "data") == 0o700
    await server.release()


async def test_so_it_is_in_the_temporary_folder_and_goes_with_the_server() -> None:
    base = Path(tempfile.mkdtemp(prefix="digitwin-embedded-"))
    home = base / ("long" * 25)
    try:
        server = await embedded.acquire(home)
        socket = Path(server.target.host or "")
        assert not socket.is_relative_to(home)
        assert mode(socket) == 0o700
        assert owner(socket) == owner(home / "data")
        assert await answers(server.target)
        await server.release()
        assert is_gone(socket)
        left = await embedded.acquire(home)
        await asyncio.to_thread(kill_server, home)
        after_a_crash = await embedded.acquire(home)
        assert await answers(after_a_crash.target)
        assert is_gone(Path(left.target.host or ""))
        await left.release()
        await after_a_crash.release()
    finally:
        shutil.rmtree(base)


@ROOT
async def test_root_lets_the_server_pass_through_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = Path(tempfile.mkdtemp(prefix="digitwin-embedded-"))  # of root alone
    private, public = base / "private", base / "private" / "public"
    public.mkdir(parents=True)
    private.chmod(0o700)
    public.chmod(0o755)
    try:
        with caplog.at_level(logging.WARNING, "digitwin"):
            server = await embedded.acquire(public / "home")
        assert await answers(server.target)
        assert (mode(base), mode(private), mode(public)) == (0o701, 0o701, 0o755)
        told = [record.args[0] for record in caplog.records if "passed through" in record.msg]  # type: ignore[index]
        assert told == [private, base]
        assert mode(public / "home" / "data") == 0o700
        await server.release()
    finally:
        shutil.rmtree(base)


@ROOT
async def test_another_user_of_the_machine_cannot_open_the_socket(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    base = Path(tempfile.mkdtemp(prefix="digitwin-embedded-"))
    for folder in (home, base / ("long" * 25)):
        server = await embedded.acquire(folder)
        socket = str(Path(server.target.host or "") / ".s.PGSQL.5432")
        who = str(nobody.pw_uid), str(nobody.pw_gid)
        script = [sys.executable, "-c", OPEN, socket, *who]
        tried = await asyncio.create_subprocess_exec(*script, stderr=subprocess.PIPE)
        _, error = await tried.communicate()
        assert b"PermissionError" in error
        assert await answers(server.target)
        await server.release()
    shutil.rmtree(base)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="DIGITWIN_HOME"):
        await embedded.acquire(tmp_path / "file" / ".digitwin")


async def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    conf = home / "data" / "postgresql.auto.conf"
    conf.write_text("max_connections = none\n")
    try:
        with pytest.raises(ConnectionFailedError, match=r"does not start: .*max_connections"):
            await embedded.acquire(home)
    finally:
        conf.write_text("")
    await _start_and_stop(home)


async def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "is_installed", lambda: False)
    with pytest.raises(ConfigurationError, match=r"digitwin\[embedded\]"):
        await embedded.acquire(tmp_path)
    assert not (tmp_path / ".gitignore").exists()
