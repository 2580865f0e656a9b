"""A backup brings nobody back for good who was erased after it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

import digitwin
from digitwin import Participant
from digitwin.database import Database
from digitwin.testing import DatabaseFactory
from tests.integration.privacy.conftest import STRINGS, fill
from tests.integration.privacy.programs import programs_of, restored, run
from tests.support.tables import tables_with


async def test_who_was_erased_after_the_backup_is_erased_again(
    digitwin_db_factory: DatabaseFactory, tmp_path: Path
) -> None:
    ledger, backup = tmp_path / "ledger.jsonl", tmp_path / "twins.dump"
    db = await digitwin_db_factory(erasure_ledger=ledger)
    ada, bob = await fill(db), await fill(db, "bob@example.com", "Robert Boole")
    cleo = await fill(db, "cleo@example.com", "Cleo Patra")
    await run(
        *(await programs_of(db) / "pg_dump", "--format=custom", f"--file={backup}"),
        *("--exclude-table-data=*.user_keys", db._target.url),
    )
    await db.privacy.erase(ada.id, reason="asked for it")
    await db.users.delete(cleo.id)
    await db.privacy.erase(cleo.id, reason="asked for it")
    assert STRINGS[0] not in ledger.read_text("utf-8")
    assert str(ada.id) not in ledger.read_text("utf-8")
    async with restored(db, backup) as goal:
        settings = {"erasure_ledger": ledger, "migrate": "skip"}
        async with digitwin.connect(goal.url, **settings) as again:
            assert (await again.users.get(ada.id)).name == STRINGS[1]
            report = await again.privacy.replay()
            assert (report.entries, report.users, report.participants) == (2, 2, 0)
            assert await tables_with(again, ada.id) == await tables_with(again, cleo.id) == []
            assert (await again.users.get(bob.id)).name == "Robert Boole"
            assert (await again.privacy.replay()).users == 0


async def test_participants_too_but_not_who_has_come_back_since(
    digitwin_db_factory: DatabaseFactory, tmp_path: Path
) -> None:
    ledger, backup = tmp_path / "ledger.jsonl", tmp_path / "twins.dump"
    settings = {"erasure_ledger": ledger, "erasure_pepper": "pepper"}
    db = await digitwin_db_factory(**settings)
    ada = await fill(db)
    await run(
        *(await programs_of(db) / "pg_dump", "--format=custom"),
        *(f"--file={backup}", db._target.url),
    )
    await db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="asked for it")
    await db.sessions.start(ada.id, participant=Participant("guest", "web-81f3", "Sam again"))
    assert (await db.privacy.replay()).participants == 0
    async with (
        restored(db, backup) as goal,
        digitwin.connect(goal.url, migrate="skip", **settings) as again,
    ):
        assert (await again.privacy.replay()).participants == 1
        (turn,) = (await again.sessions.with_turns(ada.session)).turns
        assert turn.user_text == ""


async def test_one_that_was_broken_off_is_completed(
    digitwin_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await fill(digitwin_db)

    async def crash(*args: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(digitwin_db.cache, "forget_user", crash)
    with pytest.raises(RuntimeError):
        await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    monkeypatch.undo()
    assert (await digitwin_db.privacy.replay()).users == 1
    assert await tables_with(digitwin_db, ada.id) == []
    (receipt,) = (await digitwin_db.privacy.receipts()).items
    assert receipt.completed_at is not None


async def test_without_a_ledger_nobody_is_erased(digitwin_db: Database) -> None:
    await fill(digitwin_db)
    report = await digitwin_db.privacy.replay()
    assert (report.entries, report.users) == (0, 0)
