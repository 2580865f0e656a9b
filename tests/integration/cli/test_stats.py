"""``digitwin stats``: the figures are those one would count oneself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from typer.testing import Result

from digitwin.database import Database
from digitwin.seeding import ADA, seed

Cli = Callable[..., Awaitable[Result]]


async def test_the_figures_agree_with_the_rows(digitwin_db: Database, cli: Cli) -> None:
    await seed(digitwin_db)
    await digitwin_db.cache.responses.set("hours", "From nine.", user_id=ADA)
    for _ in range(3):
        await digitwin_db.limits.consume(ADA, "/talk", limit=2, window=3600)
    result = await cli("stats", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["users"] == {"total": 2, "free": 1, "pro": 1, "enterprise": 0}
    assert (found["sessions"]["sessions"], found["sessions"]["turns"]) == (3, 8)
    assert found["sessions"]["interruptions"] == 1
    assert found["documents"]["total"] == 5
    recorded = [record.result for record in (await digitwin_db.audit.list(limit=1000)).items]
    assert found["audit"]["total"] == len(recorded)
    assert found["audit"]["by_result"] == {"denied": 1, "success": len(recorded) - 1}
    assert set(found) == {"users", "sessions", "documents", "cache", "limits", "audit"}


async def test_an_empty_database_has_figures_too(cli: Cli) -> None:
    result = await cli("stats")
    assert result.exit_code == 0, result.output
    assert "users" in result.stdout


async def test_people_read_tables(digitwin_db: Database, cli: Cli) -> None:
    await seed(digitwin_db)
    result = await cli("stats")
    assert result.exit_code == 0, result.output
    for word in ("p95", "asr ms", "free", "by action", "voice_model.activate"):
        assert word in result.stdout
