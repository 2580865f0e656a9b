"""A dry run says what would go, and leaves every byte as it was."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from digitwin.cli.app import app
from digitwin.database import Database
from digitwin.models import User
from tests.integration.conversations.deletion.conftest import CONTENTS
from tests.integration.conversations.retention.conftest import DAY, Aged
from tests.support.contents import furnish_turn

TABLES = ("conversation_sessions", *CONTENTS, "users", "audit_logs", "artifact_deletions")


async def state(raw: asyncpg.Connection) -> dict[str, str]:
    """Every row, with the transaction that wrote it."""
    return {
        table: str(await raw.fetch(f"SELECT xmin::text, xmax::text, t.* FROM {table} AS t"))
        for table in TABLES
    }


async def test_it_agrees_with_what_goes_and_changes_nothing(
    keeping: Any, digitwin_db: Database, raw: asyncpg.Connection, ada: User, aged: Aged
) -> None:
    pro = await digitwin_db.users.create(email="p@x.org", name="P", subscription_tier="pro")
    old = await aged(ada.id, 31)
    await digitwin_db.sessions.delete(await aged(ada.id, 31))
    for days in (40, 3):
        await aged(ada.id, days)
    for days in (40, 400):
        await aged(pro.id, days)
    await furnish_turn(digitwin_db, (await digitwin_db.sessions.turns(old)).items[0].id)
    db = await keeping({"free": 30 * DAY, "pro": 365 * DAY})
    before = await state(raw)
    preview = await db.preview_retention()
    assert await state(raw) == before
    assert (preview.sessions, preview.turns) == (3, 3)
    free, pro_tier, enterprise = (preview.tiers[t] for t in ("free", "pro", "enterprise"))
    assert (free.sessions, free.turns, free.retention_seconds) == (2, 2, 30 * DAY)
    assert (pro_tier.sessions, pro_tier.turns) == (1, 1)
    assert (enterprise.sessions, enterprise.bytes, enterprise.retention_seconds) == (0, 0, None)
    assert preview.bytes == free.bytes + pro_tier.bytes
    assert free.bytes > pro_tier.bytes > 0
    assert free.oldest < (await db.sessions.get(old)).ended_at
    assert (await db.maintain()).retired_sessions == preview.sessions
    assert (await db.preview_retention()).sessions == 0


async def test_bytes_are_those_of_the_rows(
    keeping: Any, digitwin_db: Database, raw: asyncpg.Connection, ada: User, aged: Aged
) -> None:
    old = await aged(ada.id, 31)
    db = await keeping(30 * DAY)
    before = (await db.preview_retention()).bytes
    await raw.execute(
        "UPDATE conversation_turns SET twin_text = (SELECT string_agg(md5(n::text), '') FROM"
        " generate_series(1, 1000) AS n) WHERE session_id = $1",
        old,
    )
    assert 20_000 < (await db.preview_retention()).bytes - before < 40_000


async def test_without_a_retention_nothing_would_go(
    digitwin_db: Database, ada: User, aged: Aged
) -> None:
    await aged(ada.id, 9_000)
    preview = await digitwin_db.preview_retention()
    assert (preview.sessions, preview.turns, preview.bytes) == (0, 0, 0)
    assert {tier.retention_seconds for tier in preview.tiers.values()} == {None}


class TestCommand:
    """As typed by hand."""

    @pytest.fixture
    def cli(self, digitwin_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
        def run(*arguments: str) -> Result:
            return CliRunner().invoke(app, [*arguments, "--url", digitwin_url])

        monkeypatch.setenv("DIGITWIN_SESSION_RETENTION", f'{{"free": {30 * DAY}}}')
        return run

    async def test_it_says_what_would_go(
        self, cli: Callable[..., Result], digitwin_db: Database, ada: User, aged: Aged
    ) -> None:
        await aged(ada.id, 31)
        result = await _in_thread(cli, "db", "maintain", "--dry-run")
        assert result.exit_code == 0, result.output
        assert "would remove 1 sessions, 1 turns" in result.stdout
        for word in ("free", "enterprise", "2,592,000.00"):
            assert word in result.stdout
        assert await digitwin_db.sessions.count() == 1

    async def test_as_json(
        self, cli: Callable[..., Result], digitwin_db: Database, ada: User, aged: Aged
    ) -> None:
        await aged(ada.id, 31)
        found = json.loads((await _in_thread(cli, "db", "maintain", "--dry-run", "--json")).stdout)
        assert (found["sessions"], found["turns"]) == (1, 1)
        assert found["tiers"]["free"]["retention_seconds"] == 30 * DAY
        done = json.loads((await _in_thread(cli, "db", "maintain", "--json")).stdout)
        assert done["retired_sessions"] == 1


async def _in_thread(run: Callable[..., Any], *arguments: str) -> Any:
    import asyncio

    found: Awaitable[Any] = asyncio.to_thread(run, *arguments)
    return await found
