"""``digitwin db migrate|upgrade|downgrade|history|check|reset``, as a person runs them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import Result

from digitwin.kernel.connection import dsn
from digitwin.kernel.migrations import files
from digitwin.servers import embedded, recognition
from digitwin.testing import databases
from tests.support import checkout

Cli = Callable[..., Awaitable[Result]]

NAMES = [migration.name for migration in files.all_migrations()]
ELSEWHERE = "postgresql://somebody@db.example.com/twins"


async def query(url: str, sql: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_history_shows_what_is_applied(cli: Cli) -> None:
    await cli("db", "downgrade", "--force", "--yes")
    done = await cli("db", "history", "--json")
    steps = [{"name": name, "applied": name != NAMES[-1]} for name in NAMES]
    assert json.loads(done.stdout) == steps
    assert f"– {NAMES[-1]}" in (await cli("db", "history")).stdout


async def test_upgrade_says_what_it_applied_and_then_that_there_is_nothing(cli: Cli) -> None:
    await cli("db", "downgrade", "--force", "--yes")
    assert (await cli("db", "upgrade")).stdout == f"applied {NAMES[-1]}\n"
    assert (await cli("db", "upgrade")).stdout == "The schema is up to date\n"
    assert json.loads((await cli("db", "upgrade", "--json")).stdout) == {"applied": []}


async def test_downgrade_takes_back_the_last(cli: Cli) -> None:
    done = await cli("db", "downgrade", "--force", "--yes", "--json")
    assert json.loads(done.stdout) == {"undone": [NAMES[-1]]}


async def test_downgrade_of_nothing_is_nothing(cli: Cli) -> None:
    await cli("db", "downgrade", "--force", "--yes", "--steps", str(len(NAMES)))
    assert (await cli("db", "downgrade", "--force", "--yes")).stdout == "No migration is applied\n"


async def test_downgrade_keeps_what_only_the_newer_schema_holds(
    cli: Cli, digitwin_url: str
) -> None:
    await query(
        digitwin_url,
        "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'a@example.com', 'A')"
        " RETURNING 1",
    )
    every = ("db", "downgrade", "--force", "--yes", "--steps", str(len(NAMES)))
    done = await cli(*every)
    assert done.exit_code == 1
    assert "would lose rows of users" in done.stderr
    assert "--lose-data" in done.stderr
    assert await query(digitwin_url, "SELECT count(*) FROM aerich") == len(NAMES)
    assert (await cli(*every, "--lose-data")).exit_code == 0


async def test_check_passes_when_all_agree(cli: Cli) -> None:
    done = await cli("db", "check", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ok"]


async def test_check_fails_while_something_is_pending(cli: Cli) -> None:
    await cli("db", "downgrade", "--force", "--yes")
    done = await cli("db", "check")
    assert done.exit_code == 1
    assert "digitwin db upgrade" in done.stdout


async def test_check_offline_asks_no_server(cli: Cli) -> None:
    done = await cli("db", "check", "--offline", url="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.exit_code == 0


async def test_reset_empties_the_database(cli: Cli, digitwin_url: str) -> None:
    await query(
        digitwin_url,
        "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'a@example.com', 'A')"
        " RETURNING 1",
    )
    done = await cli("db", "reset", "--force", "--yes", "--json")
    assert json.loads(done.stdout) == {"applied": NAMES}
    assert await query(digitwin_url, "SELECT count(*) FROM users") == 0


DESTRUCTIVE = pytest.mark.parametrize("command", [("db", "reset"), ("db", "downgrade")])
CAREFUL = pytest.mark.parametrize("command", [("db", "reset"), ("db", "downgrade"), ("seed",)])


@DESTRUCTIVE
async def test_what_destroys_wants_to_be_told_twice(
    cli: Cli, command: tuple[str, ...], digitwin_url: str
) -> None:
    done = await cli(*command, "--force")
    assert done.exit_code == 1
    assert "--yes" in done.stderr
    assert await query(digitwin_url, "SELECT to_regclass('users')") == "users"


@DESTRUCTIVE
async def test_what_destroys_is_refused_on_another_machine(
    cli: Cli, command: tuple[str, ...]
) -> None:
    done = await cli(*command, "--yes", url=ELSEWHERE)
    assert done.exit_code == 1
    assert "is not the embedded server" in done.stderr


@CAREFUL
async def test_a_socket_of_this_machine_is_not_enough(
    cli: Cli, command: tuple[str, ...], digitwin_url: str
) -> None:
    """It may be a pooler's, or the end of a tunnel."""
    yes = () if command == ("seed",) else ("--yes",)
    done = await cli(*command, *yes)
    assert done.exit_code == 1
    assert "is not the embedded server" in done.stderr
    assert "--force" in done.stderr
    assert await query(digitwin_url, "SELECT count(*) FROM aerich") == len(NAMES)
    assert await query(digitwin_url, "SELECT count(*) FROM users") == 0


@pytest.fixture
def home(digitwin_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the embedded server that the tests use, as the command line's own."""
    folder = databases._home()
    if embedded.home_of(dsn.parse(digitwin_url), folder) is None:
        pytest.skip("the tests run on another server")
    monkeypatch.setenv("DIGITWIN_HOME", str(folder))
    return folder


@pytest.mark.usefixtures("home")
@CAREFUL
async def test_the_embedded_server_is_recognized(cli: Cli, command: tuple[str, ...]) -> None:
    yes = () if command == ("seed",) else ("--yes",)
    done = await cli(*command, *yes)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("change", ["another cluster", "a copy of the cluster"])
async def test_a_server_with_the_same_address_is_not_recognized(
    home: Path, change: str, digitwin_url: str, tmp_path: Path
) -> None:
    """Another cluster has another identifier; a copy was not started at that moment."""
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    control = (home / "data" / "global" / "pg_control").read_bytes()
    lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    if change == "another cluster":
        control = bytes([control[0] ^ 1]) + control[1:]
    else:
        lines[2] = str(int(lines[2]) - 3600)
    (data / "global" / "pg_control").write_bytes(control)
    (data / "postmaster.pid").write_text("\n".join(lines))
    connection = await asyncpg.connect(digitwin_url)
    try:
        assert await recognition.is_server_of(home, connection)
        assert not await recognition.is_server_of(tmp_path, connection)
        assert not await recognition.is_server_of(tmp_path / "nothing", connection)
    finally:
        await connection.close()


async def test_migrate_without_a_changed_model_writes_nothing(cli: Cli) -> None:
    checkout.root()  # an installed copy makes no migrations
    done = await cli("db", "migrate", "nothing", "--json")
    assert json.loads(done.stdout) == {"file": None}


@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "a-b"], ["downgrade", "--steps=0"]])
async def test_wrong_usage_is_code_2(cli: Cli, arguments: list[str]) -> None:
    assert (await cli("db", *arguments)).exit_code == 2


async def test_an_unreachable_server_is_one_line(cli: Cli) -> None:
    done = await cli("db", "upgrade", url="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: Cannot connect to")
    assert done.stderr.count("\n") == 1
