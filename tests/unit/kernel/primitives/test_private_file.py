"""Private files: whole, durable and for their owner alone, however many processes write."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import threading
from collections.abc import AsyncIterator, Callable
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from digitwin.kernel.primitives import private_file

SPAWN = multiprocessing.get_context("spawn")
PROCESSES = 4
LINES = 10


def run(work: Callable[..., None], *args: tuple[Any, ...]) -> list[SpawnProcess]:
    """Run the function in one process for each tuple of arguments, all from one moment on."""
    start = SPAWN.Barrier(len(args))
    processes = [SPAWN.Process(target=started, args=(start, work, given)) for given in args]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return processes


def started(start: Barrier, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    start.wait()
    work(*args)


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def append_numbers(path: Path, process: int) -> None:
    for n in range(LINES):
        with private_file.appending(path) as file:
            file.seek(0)
            line = f"{len(file.readlines())} {process} {n}{' ' * 200}\n"
            for letter in line.encode():  # many writes: only a lock keeps them together
                file.write(bytes([letter]))
                file.flush()
                os.sched_yield()


def create_and_report(path: Path, process: int) -> None:
    created = private_file.create(path, f"{process}\n".encode() * 1000)
    (path.parent / f"report-{process}").write_text(str(created))


def replace_and_read(path: Path, process: int) -> None:
    for _ in range(25):
        private_file.replace(path, f"{process}".encode() * 100_000)
        read = path.read_bytes()
        assert (len(read), len(set(read))) == (100_000, 1)


def die_while_appending(path: Path) -> None:
    with private_file.appending(path) as file:
        file.write(b"cut o")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def die_while_replacing(path: Path) -> None:
    def die(descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = die  # type: ignore[assignment]
    private_file.replace(path, b"new")


def test_processes_that_append_at_once_do_so_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lines"
    done = run(append_numbers, *((path, process) for process in range(PROCESSES)))
    assert [process.exitcode for process in done] == [0] * PROCESSES
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [int(line[0]) for line in lines] == list(range(LINES * PROCESSES))
    assert len({(line[1], line[2]) for line in lines}) == LINES * PROCESSES
    assert {mode(tmp_path / "new" / name) for name in names(tmp_path / "new")} == {0o600}


def test_of_several_processes_one_creates_the_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    run(create_and_report, *((path, process) for process in range(PROCESSES)))
    reports = [tmp_path / f"report-{process}" for process in range(PROCESSES)]
    created = [report.read_text() == "True" for report in reports]
    assert created.count(True) == 1
    assert path.read_text() == f"{created.index(True)}\n" * 1000
    assert mode(path) == 0o600
    assert names(tmp_path) == {"key", *(report.name for report in reports)}


def test_a_reader_sees_one_of_the_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    done = run(replace_and_read, *((path, process) for process in range(PROCESSES)))
    assert [process.exitcode for process in done] == [0] * PROCESSES
    assert names(tmp_path) == {"file"}
    assert mode(path) == 0o600


def test_a_process_that_dies_releases_its_lock_and_its_line_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    [died] = run(die_while_appending, (path,))
    assert died.exitcode == -signal.SIGKILL
    with private_file.appending(path) as file:
        file.write(b"whole\n")
    assert path.read_bytes() == b"cut o\nwhole\n"


def test_a_process_that_dies_leaves_the_old_file_and_a_draft(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    private_file.replace(path, b"old")
    [died] = run(die_while_replacing, (path,))
    assert died.exitcode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    private_file.remove_drafts(tmp_path, ".key")
    assert names(tmp_path) == {"one.key"}


@pytest.mark.parametrize("write", [private_file.replace, private_file.create])
def test_a_file_and_its_name_are_on_the_disk(
    write: Callable[[Path, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    write(tmp_path / "file", b"data")
    [draft, folder] = synced
    assert draft.startswith(f"{tmp_path}/.file.")
    assert folder == str(tmp_path)


def test_a_file_that_is_removed_stays_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_file.replace(tmp_path / "file", b"data")
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    assert private_file.remove(tmp_path / "file")
    assert synced == [str(tmp_path)]
    assert not private_file.remove(tmp_path / "file")


async def test_a_stream_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    async def chunks(*, fail: bool) -> AsyncIterator[bytes]:
        yield b"some"
        if fail:
            raise RuntimeError

    path = tmp_path / "file"
    assert await private_file.replace_streamed(path, chunks(fail=False)) == 4
    with pytest.raises(RuntimeError):
        await private_file.replace_streamed(path, chunks(fail=True))
    assert path.read_bytes() == b"some"
    assert names(tmp_path) == {"file"}


def test_a_file_in_a_folder_that_is_not_writable_is_its_own_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"first\n")
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    order: list[str] = []

    def append(name: str) -> None:
        with private_file.appending(path) as file:
            order.append(name)
            file.write(name.encode() + b"\n")

    second = threading.Thread(target=append, args=("second",))
    with private_file.appending(path):
        second.start()
        second.join(0.05)
        order.append("released")
    second.join(10)
    assert order == ["released", "second"]
    assert names(tmp_path) == {"ledger"}
    assert path.read_bytes() == b"first\nsecond\n"
