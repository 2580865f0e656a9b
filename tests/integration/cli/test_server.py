"""``digitwin db start|stop|url|psql`` and ``doctor``, as a person runs them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from digitwin.kernel.connection import conninfo
from digitwin.servers import embedded

pytestmark = pytest.mark.skipif(not embedded.is_installed(), reason="needs digitwin[embedded]")

Done = subprocess.CompletedProcess[str]
Digitwin = Callable[..., Done]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="digitwin-cli-"))
    yield folder
    embedded._stop(folder / ".digitwin")
    shutil.rmtree(folder)


@pytest.fixture
def digitwin(folder: Path) -> Iterator[Digitwin]:
    """The script, in a folder of its own, with nothing set."""
    ours = ("DIGITWIN_", "DATABASE_URL")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name not in conninfo._VARIABLES
    }

    def run(*arguments: str, **variables: str) -> Done:
        return subprocess.run(
            [sys.executable, "-c", "from digitwin.cli.app import main; main()", *arguments],
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    yield run
    run("db", "stop")


def is_up(folder: Path) -> bool:
    return embedded._running(folder / ".digitwin") is not None


def test_start_leaves_it_running_until_stop(digitwin: Digitwin, folder: Path) -> None:
    started = digitwin("db", "start")
    assert started.returncode == 0
    assert f"host={folder}" in started.stdout
    assert is_up(folder)
    assert digitwin("db", "psql", "-c", "SELECT 1").returncode == 0
    assert is_up(folder)
    assert digitwin("db", "stop").stdout == "Stopped\n"
    assert not is_up(folder)
    assert digitwin("db", "stop").stdout == "Not running\n"


def test_url_starts_it_and_prints_the_url_alone(digitwin: Digitwin, folder: Path) -> None:
    first, again = digitwin("db", "url"), digitwin("db", "url", DATABASE_URL="postgres://other/d")
    assert first.stdout == again.stdout
    assert first.stdout == f"postgresql://postgres@/postgres?host={folder}/.digitwin/data\n"
    assert first.stderr == ""
    assert is_up(folder)


def test_every_answer_comes_as_json_too(digitwin: Digitwin, folder: Path) -> None:
    url = json.loads(digitwin("db", "url", "--json").stdout)["url"]
    assert json.loads(digitwin("--json", "db", "start").stdout) == {
        "url": url,
        "home": str(folder / ".digitwin"),
    }
    assert json.loads(digitwin("db", "--json", "stop").stdout) == {"stopped": True}


def test_psql_without_start_stops_it_again(digitwin: Digitwin, folder: Path) -> None:
    done = digitwin("db", "psql", "-Atc", "SELECT current_user")
    assert (done.returncode, done.stdout) == (0, "postgres\n")
    assert not is_up(folder)


def test_psql_looks_at_the_schema_that_is_set(digitwin: Digitwin) -> None:
    done = digitwin("db", "psql", "-Atc", "SHOW search_path", DIGITWIN_SCHEMA="twins")
    assert done.stdout == "twins\n"


def test_psql_answers_with_its_own_code(digitwin: Digitwin) -> None:
    done = digitwin("db", "psql", "-v", "ON_ERROR_STOP=1", "-c", "SELECT 1/0")
    assert done.returncode == 1
    assert "division by zero" in done.stderr


def test_psql_gets_the_password_where_nobody_sees_it(digitwin: Digitwin, tmp_path: Path) -> None:
    told = tmp_path / "psql"
    told.write_text('#!/bin/sh\necho "$@"\necho "$PGPASSWORD"\n')
    told.chmod(0o755)
    done = digitwin(
        *("db", "psql", "--url", "postgres://ada:hunter2@db.example/twins?sslmode=require"),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    arguments, password = done.stdout.splitlines()
    assert arguments == "postgresql://ada@db.example:5432/twins?sslmode=require"
    assert password == "hunter2"


def test_psql_comes_along_where_none_is_installed(digitwin: Digitwin, tmp_path: Path) -> None:
    done = digitwin("db", "psql", "-Atc", "SELECT 7", PATH=str(tmp_path))
    assert done.stdout == "7\n"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres://u:hunter2@h/d?colour=red", "`colour` is not supported"),
        ("postgres://u:pa/hunter2@h/d", "The URL is malformed"),
    ],
)
def test_a_bad_url_is_one_line(digitwin: Digitwin, url: str, reason: str) -> None:
    done = digitwin("db", "psql", "--url", url)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr
