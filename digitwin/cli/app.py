"""``digitwin``: the root command.

A group of commands is a module of this package. It imports typer and :mod:`digitwin.cli.output`
at the top and everything else inside functions, so that ``--help`` is fast, and defines::

    def register(app: typer.Typer, db: typer.Typer) -> None:
        db.command("check")(check)      # digitwin db check
        app.command("stats")(stats)     # digitwin stats

A command is a plain function with annotated options. It does not declare ``--json`` and
``--url``: they are extracted from the command line before parsing, and ``output.connect()``,
``output.show()`` and the others apply them. A command exits with code 0 by returning and with
code 1 by raising a :class:`~digitwin.DigiTwinError` (printed as one line without traceback) or
``typer.Exit(1)``; typer exits with code 2 on wrong usage.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from digitwin.cli import output
from digitwin.cli.output import CommandError
from digitwin.errors import DigiTwinError

_GROUPS = (
    *("demo", "doctor", "seed", "importing", "exporting", "replay", "stats"),
    *("server", "schema", "maintain", "keys", "audit", "privacy"),
)
"""Modules of this package, in the order of ``--help``."""

_CLICK: Any = typer.BadParameter.__mro__[2]
"""ClickException, of the click that typer bundles."""


class _Root(TyperGroup):
    """Extracts the global options and turns exceptions into exit codes."""

    def main(self, *positional: Any, **named: Any) -> Any:
        args: Sequence[str] | None = positional[0] if positional else named.pop("args", None)
        standalone = named.pop("standalone_mode", True)
        given, rest = output.extract_global_options(sys.argv[1:] if args is None else args)
        token = output.invocation.set(given)
        try:
            code = self._code(rest, named)
        finally:
            output.invocation.reset(token)
        if standalone:
            sys.exit(code)
        return code

    def _code(self, args: list[str], extra: dict[str, Any]) -> int:
        try:
            result = super().main(args=args, standalone_mode=False, **extra)
            return result if isinstance(result, int) else 0
        except _CLICK as error:
            return _usage_error(error)
        except DigiTwinError as error:
            output.fail(error)
        except typer.Abort:
            output.fail(CommandError("Aborted, nothing was changed"))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            output.fail(CommandError(f"{where}{error.strerror or error}"))
        except Exception as error:
            if os.environ.get("DIGITWIN_DEBUG"):
                raise
            defect = f"{type(error).__name__}: {error} (set DIGITWIN_DEBUG=1 for the traceback)"
            output.fail(CommandError(f"Internal error, please report it: {defect}"))
        return 1


def _usage_error(error: Any) -> int:
    message = error.format_message().strip().rstrip(".")
    if message:  # empty if there were no arguments: the help was printed
        path = error.ctx.command_path if getattr(error, "ctx", None) else "digitwin"
        output.fail(CommandError(f"{message}; see `{path} --help`"))
    return int(error.exit_code)


app = typer.Typer(
    name="digitwin",
    cls=_Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(no_args_is_help=True, help="Manage the database: server, schema, maintenance.")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.show({"version": version("digitwin")}, version("digitwin"))
        raise typer.Exit


@app.callback()
def _options(
    url: Annotated[
        str | None, typer.Option("--url", help="URL of the database, in any form libpq accepts.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document to stdout.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Data layer for live digital twins, on one PostgreSQL database.

    Every command accepts --url and --json, anywhere on the line. Without --url, commands use
    DIGITWIN_DATABASE_URL, DATABASE_URL, or else the embedded PostgreSQL in .digitwin.
    """


for _name in _GROUPS:
    importlib.import_module(f"digitwin.cli.{_name}").register(app, db)
app.add_typer(db, name="db")


def main() -> None:
    """Entry point of the ``digitwin`` script."""
    app()
