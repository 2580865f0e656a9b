"""``digitwin doctor``: every fault with its cure, and never a password."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import Result

Cli = Callable[..., Awaitable[Result]]


def checks(result: Result) -> dict[str, Any]:
    document = json.loads(result.stdout)
    found = {check["name"]: check for check in document["checks"]}
    assert document["ok"] == all(check["ok"] is not False for check in found.values())
    return found


async def test_a_migrated_database_passes(cli: Cli) -> None:
    result = await cli("doctor")
    assert result.exit_code == 0, result.stdout
    assert "✗" not in result.stdout
    for name in ("python", "asyncpg", "address", "server", "clock", "pool", "schema"):
        assert f"✓ {name} " in result.stdout


async def test_an_unreachable_server_ends_the_report(cli: Cli) -> None:
    result = await cli("doctor", "--json", url="postgres://ada:hunter2@127.0.0.1:1/d")
    found = checks(result)
    assert result.exit_code == 1
    assert found["address"]["detail"] == "postgresql://ada@127.0.0.1:1/d"
    assert found["connection"]["ok"] is False
    assert "server" not in found
    assert "hunter2" not in result.output


async def test_an_address_that_cannot_be_read_ends_it_earlier(cli: Cli) -> None:
    result = await cli("doctor", "--json", url="postgres://ada:pa/hunter2@h/d")
    assert checks(result)["address"]["ok"] is False
    assert result.exit_code == 1
    assert "hunter2" not in result.output


async def test_a_pool_the_server_cannot_serve_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITWIN_POOL_MAX", "1000")
    result = await cli("doctor", "--json")
    pool = checks(result)["pool"]
    assert (result.exit_code, pool["ok"]) == (1, False)
    assert "max_connections" in pool["cure"]


async def test_an_empty_schema_wants_an_upgrade(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITWIN_SCHEMA", "nothing_here")
    result = await cli("doctor", "--json")
    schema = checks(result)["schema"]
    assert (result.exit_code, schema["ok"]) == (1, False)
    assert "run `digitwin db upgrade`" in schema["detail"]


async def test_whether_checkpoints_are_kept_is_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks(await cli("doctor", "--json"))["audit checkpoints"]["ok"] is None
    monkeypatch.setenv("DIGITWIN_AUDIT_CHECKPOINTS", "/var/audit/heads")
    assert checks(await cli("doctor", "--json"))["audit checkpoints"]["ok"] is True


async def test_what_is_optional_fails_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from digitwin.cli import doctor

    monkeypatch.setattr(doctor, "_EXTRAS", {"uvloop": "no_such_module"})
    result = await cli("doctor", "--json")
    assert checks(result)["extra uvloop"]["ok"] is None
    assert result.exit_code == 0
