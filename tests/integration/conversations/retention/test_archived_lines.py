"""The archive holds what an export of the session holds, and can be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from digitwin.models import User
from tests.integration.conversations.retention.conftest import DAY, Aged


async def test_an_archived_session_can_be_imported_again(
    keeping: Any, tmp_path: Path, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 31)
    db = await keeping(30 * DAY, session_archive=tmp_path)
    lines = [line async for line in db.sessions.export(old)]
    assert (await db.maintain()).retired_sessions == 1
    assert await db.sessions.find(old) is None
    file = tmp_path / str(ada.id) / f"{old}.jsonl"
    assert file.read_text().splitlines() == lines
    await db.sessions.import_lines(lines, user_id=ada.id)
    turns = (await db.sessions.with_turns(old)).turns
    assert [(turn.user_text, turn.twin_text) for turn in turns] == [("Hi", "Hello")]
