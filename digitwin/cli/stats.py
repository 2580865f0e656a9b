"""``digitwin stats``: statistics of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from digitwin.database import Database


def stats() -> None:
    """Show statistics of users, sessions, documents, cache, rate limits and the audit trail."""
    from digitwin.cli import figures

    found = figures.plain(output.run(_found))
    output.show(found, "\n".join(figures.lines(found)))


def register(app: typer.Typer, db: typer.Typer) -> None:
    app.command("stats")(stats)


async def _found() -> dict[str, Any]:
    async with output.connect() as db:
        return {
            "users": await _users(db),
            "sessions": await db.sessions.statistics(),
            "documents": await db.documents.statistics(),
            "cache": await db.cache.statistics(),
            "limits": await db.limits.usage(),
            "audit": await db.audit.statistics(),
        }


async def _users(db: Database) -> dict[str, int]:
    from digitwin.users.fields import Tier

    by_tier = {tier: await db.users.count(subscription_tier=tier) for tier in get_args(Tier)}
    return {"total": sum(by_tier.values()), **by_tier}
