"""``digitwin``: the commands put together.

A group of commands is a module here that imports typer and :mod:`digitwin.cli.output` at the
top, everything else inside its functions (so that ``--help`` stays quick), and has::

    def register(app: typer.Typer, db: typer.Typer) -> None:
        db.command("check")(check)      # digitwin db check
        app.command("stats")(stats)     # digitwin stats

A command is a plain function with annotated options. ``--json`` and ``--url`` need no
declaration: they are taken from anywhere on the line before it is parsed, and
``output.connect()``, ``output.show()`` and the rest heed them. It ends well by returning,
with code 1 by raising a :class:`~digitwin.DigiTwinError` (printed in one line, no
traceback) or ``typer.Exit(1)``; typer itself answers wrong usage with code 2.
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
    *("demo", "doctor", "seed", "importing", "replay", "stats"),
    *("server", "schema", "maintain", "keys", "audit", "privacy"),
)
"""Modules of this package, in the order of ``--help``."""

_CLICK: Any = typer.BadParameter.__mro__[2]
"""ClickException, of whichever click typer carries."""


class _Root(TyperGroup):
    """Every way of running the app goes through here, the script's and the tests'."""

    def main(self, *positional: Any, **named: Any) -> Any:
        args: Sequence[str] | None = positional[0] if positional else named.pop("args", None)
        standalone = named.pop("standalone_mode", True)
        given, rest = output.hoist(sys.argv[1:] if args is None else args)
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
            return _misuse(error)
        except DigiTwinError as error:
            output.fail(error)
        except typer.Abort:
            output.fail(CommandError("Nothing was changed"))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            output.fail(CommandError(f"{where}{error.strerror or error}"))
        except Exception as error:
            if os.environ.get("DIGITWIN_DEBUG"):
                raise
            defect = f"{type(error).__name__}: {error} (DIGITWIN_DEBUG=1 shows where)"
            output.fail(CommandError(f"A defect in digitwin, please report it: {defect}"))
        return 1


def _misuse(error: Any) -> int:
    message = error.format_message().strip().rstrip(".")
    if message:  # without arguments there is none: the help has been printed
        path = error.ctx.command_path if getattr(error, "ctx", None) else "digitwin"
        output.fail(CommandError(f"{message}; `{path} --help` shows what is possible"))
    return int(error.exit_code)


app = typer.Typer(
    name="digitwin",
    cls=_Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(no_args_is_help=True, help="The database: its server, its schema, its upkeep.")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.show({"version": version("digitwin")}, version("digitwin"))
        raise typer.Exit


@app.callback()
def _options(
    url: Annotated[
        str | None, typer.Option("--url", help="The database; any spelling libpq knows.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, for programs.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Everything a live digital twin must remember, in one PostgreSQL.

    --url and --json go with every command, anywhere on the line. Without --url the database
    is DIGITWIN_DATABASE_URL, DATABASE_URL, or else the embedded PostgreSQL in .digitwin.
    """


for _name in _GROUPS:
    importlib.import_module(f"digitwin.cli.{_name}").register(app, db)
app.add_typer(db, name="db")


def main() -> None:
    """The entry point of the script ``digitwin``."""
    app()
