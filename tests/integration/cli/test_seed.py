"""``digitwin seed``: the same two people on every run, and never where it could do harm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from typer.testing import Result

from digitwin.database import Database
from digitwin.seeding import ADA, BEN, Seeded, seed

Cli = Callable[..., Awaitable[Result]]
FIRST = Seeded(
    users=2, voice_models=3, face_models=2, documents=5, sessions=3, turns=8, audit_logs=1
)


async def everything(db: Database) -> dict[str, Any]:
    """What the seed makes, without the times at which it was made."""
    users = [await db.users.get(id) for id in (ADA, BEN)]
    sessions = [await db.sessions.with_turns(s.id) for s in (await db.sessions.list()).items]
    return {
        "users": [(u.id, u.email, u.name, u.subscription_tier, u.settings) for u in users],
        "voices": [(v.id, v.status, v.is_active) for v in (await db.voices.list()).items],
        "faces": [(f.id, f.status, f.is_active) for f in (await db.faces.list()).items],
        "documents": [(d.id, d.title, d.visibility) for d in (await db.documents.list()).items],
        "turns": [
            (s.id, s.status, t.position, t.user_text, t.twin_text, t.heard_text, t.timings)
            for s in sessions
            for t in s.turns
        ],
        "audit": sorted(
            (a.action, None if a.resource == "consent" else a.resource_id)
            for a in (await db.audit.list()).items
        ),
    }


async def test_it_makes_a_free_and_a_pro_user_with_all_that_is_theirs(
    digitwin_db: Database,
) -> None:
    assert await seed(digitwin_db) == FIRST
    tiers = {user.subscription_tier for user in (await digitwin_db.users.list()).items}
    assert tiers == {"free", "pro"}
    active = await digitwin_db.voices.active_for(ADA)
    assert active is not None
    assert active.name == "Ada at the counter"


async def test_a_second_run_changes_nothing(digitwin_db: Database) -> None:
    await seed(digitwin_db)
    before = await everything(digitwin_db)
    assert await seed(digitwin_db) == Seeded()
    assert await everything(digitwin_db) == before


async def test_two_databases_get_the_same_rows(
    digitwin_db: Database, digitwin_db_factory: Callable[[], Awaitable[Database]]
) -> None:
    other = await digitwin_db_factory()
    await seed(digitwin_db)
    await seed(other)
    assert await everything(digitwin_db) == await everything(other)


async def test_two_runs_one_after_the_other_or_at_once_end_the_same(
    digitwin_db: Database,
) -> None:
    results = await asyncio.gather(seed(digitwin_db), seed(digitwin_db), return_exceptions=True)
    assert FIRST in results
    assert await seed(digitwin_db) == Seeded()


async def test_what_was_deleted_is_restored(digitwin_db: Database) -> None:
    await seed(digitwin_db)
    before = await everything(digitwin_db)
    await digitwin_db.users.delete(ADA)
    assert await seed(digitwin_db) == Seeded()
    after = await everything(digitwin_db)
    told = [*before.pop("audit"), ("user.delete", str(ADA)), ("user.restore", str(ADA))]
    assert after.pop("audit") == sorted(told)
    assert after == before


async def test_the_command_says_what_it_added(cli: Cli) -> None:
    first = await cli("seed", "--force")
    assert first.exit_code == 0, first.output
    assert "2  users" in first.stdout
    assert "Nothing to add: all example data exists" in (await cli("seed", "--force")).stdout


async def test_another_machine_is_refused_without_force(cli: Cli) -> None:
    result = await cli("seed", url="postgresql://someone@db.example.com/prod")
    assert result.exit_code == 1
    assert "db.example.com" in result.stderr
    assert "--force" in result.stderr
    assert result.stderr.count("\n") == 1
