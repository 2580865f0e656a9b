"""Heads in a file: in order, once, and whole whatever broke off."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from digitwin.audit.checkpoints import FileCheckpointSink
from digitwin.audit.hash_chain import Seal
from digitwin.errors import ConfigurationError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def seals(*numbers: int) -> list[Seal]:
    return [
        Seal(n, NOW, None, NOW, 1, b"r", b"p", bytes([n]) * 32, "k", "a", b"s") for n in numbers
    ]


async def read(sink: FileCheckpointSink) -> list[tuple[int, bytes]]:
    return [head async for head in sink.read()]


def heads(*numbers: int) -> list[tuple[int, bytes]]:
    return [(n, bytes([n]) * 32) for n in numbers]


async def test_heads_are_read_as_they_were_written(tmp_path: Path) -> None:
    sink = FileCheckpointSink(tmp_path / "new" / "heads")
    assert (await sink.last(), await read(sink)) == (0, [])
    await sink.append(seals(1, 2))
    await sink.append(seals(2, 3))
    assert (await sink.last(), await read(sink)) == (3, heads(1, 2, 3))
    assert (tmp_path / "new" / "heads").stat().st_mode & 0o777 == 0o600


async def test_a_line_that_was_broken_off_is_followed_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    sink = FileCheckpointSink(path)
    await sink.append(seals(1, 2))
    path.write_bytes(path.read_bytes()[:-20])
    assert await sink.last() == 1
    await sink.append(seals(2, 3))
    assert await read(sink) == heads(1, 2, 3)


async def test_several_may_write_at_once(tmp_path: Path) -> None:
    sinks = [FileCheckpointSink(tmp_path / "heads") for _ in range(4)]
    await asyncio.gather(*(sink.append(seals(*range(1, 50))) for sink in sinks))
    assert await read(sinks[0]) == heads(*range(1, 50))


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await FileCheckpointSink(tmp_path).append(seals(1))
    assert refused.value.details["field"] == "audit_checkpoints"
