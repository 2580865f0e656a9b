"""``digitwin db migrate|upgrade|downgrade|history|check|reset``: the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer, db: typer.Typer) -> None:
    for command in (migrate, upgrade, downgrade, history, check, reset, roles):
        db.command(command.__name__)(command)


def migrate(
    name: Annotated[str, typer.Argument(help="A few words, as in add_language.")],
    empty: Annotated[
        bool, typer.Option("--empty", help="Without changes of models, for SQL by hand.")
    ] = False,
) -> None:
    """Draft the next migration from changed models, for a person to review and finish."""
    path = output.run(lambda: _draft(name, empty))
    if path is None:
        output.show({"file": None}, "No model has changed (--empty writes one all the same)")
    else:
        output.show({"file": path}, f"Review and finish it by hand: {path}")


async def _draft(name: str, empty: bool) -> Path | None:
    from digitwin.kernel.migrations import drafting

    words = "_".join(name.split()).lower()
    if not words.isidentifier():
        raise typer.BadParameter("use letters, digits and underscores", param_hint="NAME")
    return await drafting.make(words, empty=empty)


def upgrade() -> None:
    """Bring the schema up to date; several at once do not disturb each other."""
    from digitwin.kernel.migrations import upgrade

    async def up(target: Target, settings: Settings) -> list[str]:
        applied = await upgrade.upgrade(target, settings)
        await _with_connection(target, settings, _roles_if_allowed)
        return applied

    applied = output.run(lambda: _with_database(up))
    output.show({"applied": applied}, _lines("applied ", applied, "The schema is up to date"))


def roles(
    apply: Annotated[bool, typer.Option("--apply", help="Do it, not only print it.")] = False,
    login: Annotated[
        list[str] | None, typer.Option(help="A service's login that becomes a member; repeatable.")
    ] = None,
) -> None:
    """Print, or apply, the database's roles, their rights and row security by person.

    Once applied, a login that is no member sees no row: name the services' logins.
    """
    from digitwin import roles

    async def carry_out(target: Target, settings: Settings) -> list[str]:
        made = roles.statements(settings.schema_name, login or ())
        if apply:
            await _with_connection(
                target, settings, lambda given, schema: roles.apply(given, schema, login or ())
            )
        return made

    made = output.run(lambda: _with_database(carry_out))
    text = "The roles are made, their rights are given" if apply else ";\n".join(made) + ";"
    output.show({"applied": apply, "statements": made}, text)


async def _roles_if_allowed(connection: asyncpg.Connection, schema: str) -> None:
    from digitwin import roles

    if not await roles.ensure(connection, schema):
        output.say("Roles are missing, which `db.for_user` needs: `digitwin db roles --apply`")


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
    steps: Annotated[int, typer.Option(min=1, help="How many migrations to take back.")] = 1,
    yes: Yes = False,
) -> None:
    """Take back the last migration, with all that is stored in what it made."""
    undone = output.run(lambda: _with_database(lambda t, s: _undo(t, s, steps, yes=yes)))
    output.show({"undone": undone}, _lines("took back ", undone, "There was nothing to take back"))


def reset(yes: Yes = False) -> None:
    """Empty the database: take every migration back and apply all of them again."""
    from digitwin.kernel.migrations import upgrade

    async def anew(target: Target, settings: Settings) -> list[str]:
        await _undo(target, settings, ALL, yes=yes)
        return await upgrade.upgrade(target, settings)

    applied = output.run(lambda: _with_database(anew))
    output.show({"applied": applied}, "The database is empty and up to date")


ALL = 100_000
"""More migrations than there will ever be."""


async def _undo(target: Target, settings: Settings, steps: int, *, yes: bool) -> list[str]:
    from digitwin.kernel.migrations import upgrade

    kept = f"what {steps} migrations made" if 1 < steps < ALL else "what the last migration made"
    output.confirm_destructive(
        target, "every row of digitwin's tables" if steps == ALL else kept, yes=yes
    )
    return await upgrade.downgrade(target, settings, steps=steps)


def history() -> None:
    """Show every migration, and which are applied."""
    from digitwin.kernel.migrations import upgrade

    steps = output.run(lambda: _with_database(upgrade.history))
    output.show(steps, "\n".join(f"{'✓' if step.applied else '–'} {step.name}" for step in steps))


def check(
    offline: Annotated[
        bool, typer.Option("--offline", help="Models and migrations only; no database.")
    ] = False,
) -> None:
    """Check that models, migrations and the database agree; exit 1 if they do not."""
    drift = output.run(_drift)
    state = None if offline else output.run(lambda: _with_database(_state))
    faults = []
    if drift is not None:
        faults.append("✗ models and migrations differ: `digitwin db migrate NAME`")
        output.say(drift)
    if state is not None and state.pending:
        faults.append(f"✗ {len(state.pending)} migrations are pending: `digitwin db upgrade`")
    if state is not None and state.unknown:
        faults.append(f"✗ {state.unknown[0]} is unknown to this package: upgrade it")
    document = {"ok": not faults, "models_fit": drift is None, "schema": state}
    output.show(document, "\n".join(faults) or "✓ models, migrations and schema agree")
    if faults:
        raise typer.Exit(1)


async def _drift() -> str | None:
    from digitwin.kernel.migrations import drafting

    return await drafting.drift()


async def _state(target: Target, settings: Settings) -> SchemaState:
    from digitwin.kernel.migrations import upgrade

    return await upgrade.look(target, settings)


async def _with_database(work: Callable[[Target, Settings], Awaitable[T]]) -> T:
    async with output.located() as (target, settings):
        return await work(target, settings)


def _lines(verb: str, names: list[str], nothing: str) -> str:
    return "\n".join(verb + name for name in names) or nothing
