"""A session is on the disk before its rows are removed; if it cannot be, it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncGenerator
from contextvars import Context
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import ConfigurationError, InvalidStateError
from digitwin.models import ConversationTurn, User
from tests.integration.conversations.retention.conftest import DAY, Aged, with_export


async def lines_of(session_id: UUID, *, user_id: UUID) -> AsyncGenerator[str, None]:
    for turn in await ConversationTurn.filter(session_id=session_id, user_id=user_id):
        yield f"{turn.user_text} {turn.twin_text}"


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
async def archiving(keeping: Any, tmp_path: Path) -> Database:
    db: Database = await keeping(30 * DAY, session_archive=tmp_path / "a" / "sessions")
    return db


async def test_each_is_a_file_of_its_own(
    archiving: Database, tmp_path: Path, ada: User, aged: Aged
) -> None:
    old = [await aged(ada.id, 31), await aged(ada.id, 32)]
    await aged(ada.id, 3)
    with archiving.activate():
        assert await with_export(archiving, lines_of).retire() == 2
    folder = tmp_path / "a" / "sessions" / str(ada.id)
    assert files_in(tmp_path) == sorted(folder / f"{id}.jsonl" for id in old)
    for file in files_in(tmp_path):
        assert file.read_text() == "Hi Hello\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await archiving.sessions.count() == 1
    records = (await archiving.audit.list(action="session.hard_delete")).items
    assert [record.metadata["archived"] for record in records] == [True, True]


async def test_where_nothing_can_be_written_everything_stays(
    archiving: Database, tmp_path: Path, ada: User, aged: Aged
) -> None:
    await aged(ada.id, 31)
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(ConfigurationError) as refused:
        await with_export(archiving, lines_of).retire()
    assert refused.value.details["field"] == "session_archive"
    assert await archiving.sessions.count() == 1


async def test_what_cannot_be_exported_stays_and_the_others_go(
    archiving: Database, tmp_path: Path, ada: User, bob: User, aged: Aged
) -> None:
    broken, fine = await aged(ada.id, 40), await aged(ada.id, 31)
    other = await aged(bob.id, 31)

    async def export(session_id: UUID, *, user_id: UUID) -> AsyncGenerator[str, None]:
        yield "begun"
        if session_id == broken:
            raise InvalidStateError("cannot be read")

    with pytest.raises(InvalidStateError, match="cannot be read"):
        await with_export(archiving, export).retire()
    assert {row.id async for row in archiving.sessions.stream()} == {broken}
    assert {file.stem for file in files_in(tmp_path)} == {str(fine), str(other)}


async def test_a_session_that_is_amended_meanwhile_is_left_to_the_next_run(
    archiving: Database, digitwin_db: Database, tmp_path: Path, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 31)
    turn = (await digitwin_db.sessions.turns(old)).items[0]
    retention = with_export(archiving, lines_of)
    async with digitwin_db.transaction():
        await digitwin_db.sessions.amend_turn(turn.id, session_id=old, user_text="Amended")
        with archiving.activate():
            retiring = asyncio.create_task(retention.retire(), context=Context())
        assert await retiring == 0
    with archiving.activate():
        assert await retention.retire() == 1
    (file,) = files_in(tmp_path)
    assert file.read_text() == "Amended Hello\n"


async def test_a_file_that_a_dead_process_left_is_replaced(
    archiving: Database, tmp_path: Path, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 31)
    folder = tmp_path / "a" / "sessions" / str(ada.id)
    folder.mkdir(parents=True)
    (folder / f"{old}.jsonl").write_text("of an earlier run")
    (folder / f".{old}.jsonl.0123").write_text("half of")
    with archiving.activate():
        assert await with_export(archiving, lines_of).retire() == 1
    assert [file.read_text() for file in files_in(tmp_path)] == ["Hi Hello\n"]


PROGRAM = """
import asyncio, sys, os, signal
from pathlib import Path
from digitwin import connect
from digitwin.conversations.retention.sweep import SessionRetention
from digitwin.kernel.primitives import private_file
from digitwin.models import ConversationTurn

url, folder, point = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

async def export(session_id, *, user_id):
    for turn in await ConversationTurn.filter(session_id=session_id, user_id=user_id):
        yield f"{turn.user_text} {turn.twin_text}"
        if point == "in the export":
            die()

def before(name, module, attribute):
    found = getattr(module, attribute)
    def wrapped(*given, **named):
        if point == name:
            die()
        return found(*given, **named)
    setattr(module, attribute, wrapped)

before("before the draft is flushed", private_file, "_sync")
before("before the file is published", private_file, "_publish")

async def main():
    async with connect(url, session_retention=86400, session_archive=Path(folder)) as db:
        retention = SessionRetention(
            db._core, db.cache, db.privacy.artifacts, lambda core: export
        )
        queue = retention._queue.queue_sessions
        async def queueing(*given):
            if point == "after the file is published":
                die()
            return await queue(*given)
        retention._queue.queue_sessions = queueing
        forget = retention._cache.forget_tags
        async def forgetting(tags):
            if point == "before the commit":
                die()
            return await forget(tags)
        retention._cache.forget_tags = forgetting
        await retention.retire()
        if point == "at the end":
            die()

asyncio.run(main())
"""

POINTS = (
    "in the export",
    "before the draft is flushed",
    "before the file is published",
    "after the file is published",
    "before the commit",
    "at the end",
)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_any_point_it_loses_nothing(
    archiving: Database,
    digitwin_url: str,
    raw: asyncpg.Connection,
    tmp_path: Path,
    ada: User,
    aged: Aged,
    point: str,
) -> None:
    old = await aged(ada.id, 31)
    folder = tmp_path / "a" / "sessions"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, digitwin_url, str(folder), point, env=dict(os.environ)
    )
    assert await process.wait() == -signal.SIGKILL
    there = await raw.fetchval("SELECT count(*) FROM conversation_turns")
    file = folder / str(ada.id) / f"{old}.jsonl"
    assert there == 1 or file.read_text() == "Hi Hello\n"
    with archiving.activate():
        await with_export(archiving, lines_of).retire()
    assert [path.read_text() for path in files_in(tmp_path)] == ["Hi Hello\n"]
    assert await archiving.sessions.count(include_deleted=True) == 0
