"""The file of who was erased: each line outlives a crash, and a crash spoils no other line."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from digitwin.errors import ConfigurationError, InvalidInputError
from digitwin.privacy.ledger import FileLedger, LedgerEntry
from digitwin.privacy.subjects import ParticipantRef, hash_of_participant, hash_of_user

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def entry(text: str = "a") -> LedgerEntry:
    return LedgerEntry(uuid4(), "user", text * 64, NOW)


async def entries(path: Path) -> list[LedgerEntry]:
    return [entry async for entry in FileLedger(path).entries()]


async def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    given = [entry("a"), entry("b")]
    for one in given:
        await FileLedger(path).append(one)
    assert await entries(path) == given
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert await entries(tmp_path / "none") == []


async def test_a_line_cut_off_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first, second = entry("a"), entry("b")
    await FileLedger(path).append(first)
    with path.open("ab") as file:
        file.write(b'{"v": 1, "erasure')
    await FileLedger(path).append(second)
    assert await entries(path) == [first, second]


async def test_many_at_once_each_have_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    await asyncio.gather(*(FileLedger(path).append(entry()) for _ in range(50)))
    lines = path.read_text("utf-8").splitlines()
    assert len({json.loads(line)["erasure_id"] for line in lines}) == 50


async def test_it_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    path = tmp_path / "ledger.jsonl"
    await FileLedger(path).append(entry())
    assert synced == [str(path), str(tmp_path)]


async def test_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await FileLedger(tmp_path).append(entry())
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await entries(tmp_path)


def test_a_persons_hash_is_that_of_their_id() -> None:
    person = UUID("0190c5a8-7c11-7b3e-9c55-0123456789ab")
    assert hash_of_user(person) == hash_of_user(UUID(str(person).upper()))
    assert len(hash_of_user(person)) == 64


def test_a_participants_hash_is_keyed_and_tells_kinds_apart() -> None:
    phone = ParticipantRef("phone", "+49 30 1")
    assert hash_of_participant(phone, "a") != hash_of_participant(phone, "b")
    assert hash_of_participant(phone, None) != hash_of_participant(
        ParticipantRef("guest", phone.ref), None
    )


@pytest.mark.parametrize(("kind", "ref"), [("ghost", "a"), ("guest", ""), ("guest", "x" * 201)])
def test_a_participant_has_a_kind_and_a_ref(kind: str, ref: str) -> None:
    with pytest.raises(InvalidInputError):
        ParticipantRef(kind, ref)  # type: ignore[arg-type]
