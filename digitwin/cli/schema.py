"""``digitwin db migrate|upgrade|downgrade|history|check|reset|roles``: manage the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from digitwin.cli import output

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

    from digitwin.kernel.connection.dsn import Target
    from digitwin.kernel.migrations.schema_state import SchemaState
    from digitwin.settings import Settings

T = TypeVar("T")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

Force = Annotated[bool, typer.Option("--force", help="Allow a server other than the embedded one.")]


def register(app: typer.Typer, db: typer.Typer) -> None:
    for command in (migrate, upgrade, downgrade, history, check, reset, roles):
        db.command(command.__name__)(command)


def migrate(
    name: Annotated[str, typer.Argument(help="A short name, such as add_language.")],
    empty: Annotated[
        bool, typer.Option("--empty", help="Create an empty migration for manual SQL.")
    ] = False,
) -> None:
    """Draft a migration from model changes, to be reviewed and finished by hand."""
    path = output.run(lambda: _draft(name, empty))
    if path is None:
        output.show({"file": None}, "No model has changed (use --empty to create one anyway)")
    else:
        output.show({"file": path}, f"Created {path}: review and finish it")


async def _draft(name: str, empty: bool) -> Path | None:
    from digitwin.kernel.migrations import drafting

    words = "_".join(name.split()).lower()
    if not words.isidentifier():
        raise typer.BadParameter("use letters, digits and underscores", param_hint="NAME")
    return await drafting.make(words, empty=empty)


def upgrade() -> None:
    """Apply pending migrations. Safe to run concurrently."""
    from digitwin.kernel.migrations import upgrade

    async def up(target: Target, settings: Settings) -> list[str]:
        applied = await upgrade.upgrade(target, settings)
        await _with_connection(target, settings, _roles_if_allowed)
        return applied

    applied = output.run(lambda: _with_database(up))
    output.show({"applied": applied}, _lines("applied ", applied, "The schema is up to date"))


def roles(
    apply: Annotated[
        bool, typer.Option("--apply", help="Execute the statements instead of printing them.")
    ] = False,
    login: Annotated[
        list[str] | None,
        typer.Option(help="Login of a service, to be granted the roles; repeatable."),
    ] = None,
) -> None:
    """Print or apply the database roles, their privileges and row security.

    With row security, a login without these roles sees no rows: pass each service's login with
    --login.
    """
    from digitwin import roles

    async def carry_out(target: Target, settings: Settings) -> list[str]:
        made = roles.statements(settings.schema_name, login or ())
        if apply:
            await _with_connection(target, settings, partial(_apply_roles, login or ()))
        return made

    made = output.run(lambda: _with_database(carry_out))
    text = "Roles and privileges are applied" if apply else ";\n".join(made) + ";"
    output.show({"applied": apply, "statements": made}, text)


async def _apply_roles(logins: Iterable[str], connection: asyncpg.Connection, schema: str) -> None:
    from digitwin import roles

    await roles.apply(connection, schema, logins)
    if await roles.may_create_temporary(connection):
        output.say(
            "Services may still create temporary tables: the database's owner must run"
            " `REVOKE TEMPORARY ON DATABASE … FROM PUBLIC`"
        )


async def _roles_if_allowed(connection: asyncpg.Connection, schema: str) -> None:
    from digitwin import roles

    if not await roles.ensure(connection, schema):
        output.say("`db.for_user` needs roles that are missing: run `digitwin db roles --apply`")


async def _with_connection(
    target: Target,
    settings: Settings,
    work: Callable[[asyncpg.Connection, str], Awaitable[None]],
) -> None:
    from digitwin.kernel.execution import opening

    connection = await opening.connect_once(settings, target)
    try:
        await work(connection, settings.schema_name)
    finally:
        await opening.close_once(connection)


def downgrade(
    steps: Annotated[int, typer.Option(min=1, help="How many migrations to revert.")] = 1,
    lose_data: Annotated[
        bool, typer.Option("--lose-data", help="Revert even what loses data for good.")
    ] = False,
    force: Force = False,
    yes: Yes = False,
) -> None:
    """Revert the last migration, in a transaction that locks every table.

    Refused if rows or values that only the newer schema can hold would be lost, and on a server
    other than the embedded one.
    """

    async def revert(target: Target, settings: Settings) -> list[str]:
        what = f"what the last {steps} migrations added" if steps > 1 else _LAST
        await output.confirm_destructive(target, settings, what, force=force, yes=yes)
        return await _revert(target, settings, steps, lose_data=lose_data)

    undone = output.run(lambda: _with_database(revert))
    output.show({"undone": undone}, _lines("reverted ", undone, "No migration is applied"))


_LAST = "what the last migration added"


def reset(force: Force = False, yes: Yes = False) -> None:
    """Delete all data: revert every migration and apply them again.

    Refused on a server other than the embedded one.
    """
    from digitwin.kernel.migrations import upgrade

    async def rebuild(target: Target, settings: Settings) -> list[str]:
        what = "every row of digitwin's tables"
        await output.confirm_destructive(target, settings, what, force=force, yes=yes)
        await _revert(target, settings, ALL, lose_data=True)
        return await upgrade.upgrade(target, settings)

    applied = output.run(lambda: _with_database(rebuild))
    output.show({"applied": applied}, "The database is empty and up to date")


ALL = 100_000
"""Larger than any number of migrations."""


async def _revert(target: Target, settings: Settings, steps: int, *, lose_data: bool) -> list[str]:
    from digitwin.kernel.migrations import upgrade

    return await upgrade.downgrade(target, settings, steps=steps, lose_data=lose_data)


def history() -> None:
    """List migrations and whether they are applied."""
    from digitwin.kernel.migrations import upgrade

    steps = output.run(lambda: _with_database(upgrade.history))
    output.show(steps, "\n".join(f"{'✓' if step.applied else '–'} {step.name}" for step in steps))


def check(
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Compare models and migrations only, without a database."),
    ] = False,
) -> None:
    """Check that models, migrations and the database match.

    Exits with code 1 if they do not.
    """
    drift = output.run(_drift)
    state = None if offline else output.run(lambda: _with_database(_state))
    faults = []
    if drift is not None:
        faults.append("✗ models and migrations differ: run `digitwin db migrate NAME`")
        output.say(drift)
    if state is not None and state.pending:
        faults.append(f"✗ {len(state.pending)} migrations are pending: run `digitwin db upgrade`")
    if state is not None and state.unknown:
        faults.append(
            f"✗ {state.unknown[0]} is unknown to this version of digitwin: upgrade the package"
        )
    document = {"ok": not faults, "models_fit": drift is None, "schema": state}
    output.show(document, "\n".join(faults) or "✓ models, migrations and schema match")
    if faults:
        raise typer.Exit(1)


async def _drift() -> str | None:
    from digitwin.kernel.migrations import drafting

    return await drafting.drift()


async def _state(target: Target, settings: Settings) -> SchemaState:
    from digitwin.kernel.migrations import upgrade

    return await upgrade.read_state(target, settings)


async def _with_database(work: Callable[[Target, Settings], Awaitable[T]]) -> T:
    async with output.resolved_target() as (target, settings):
        return await work(target, settings)


def _lines(verb: str, names: list[str], nothing: str) -> str:
    return "\n".join(verb + name for name in names) or nothing
