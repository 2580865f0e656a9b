"""An installed copy migrates, far from any checkout."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import asyncpg
import pytest

from tests.migrations import catalog
from tests.migrations.conftest import Done
from tests.support import checkout

WHERE = "import digitwin.kernel.migrations.files as m; print(m.location())"

PLUGIN = "tests/integration/testing/test_plugin.py"
OF_THE_WHEEL = (
    "tests/unit/test_public_api.py",
    f"{PLUGIN}::test_the_handle_is_on_the_database_of_the_url",
    f"{PLUGIN}::test_being_installed_costs_next_to_nothing",
)
"""Tests of what depends on how the package is installed: its names, types and entry point."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the built wheel in it; what it depends on is borrowed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(checkout.root()),
    )
    _python(sys.executable, *build)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv/bin/python"
    _python(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", wheel)
    (packages,) = folder.glob("venv/lib/python3*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "venv/bin"


def _python(
    program: str | Path, *arguments: str | Path, cwd: str | Path = "/", **variables: str
) -> Done:
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


async def test_the_wheel_migrates_outside_the_checkout(
    installed: Path, url: str, connection: asyncpg.Connection
) -> None:
    location = _python(installed / "python", "-c", WHERE).stdout.strip()
    assert location.startswith(os.fspath(installed.parent))
    assert location.endswith("digitwin/_migrations")
    done = _python(installed / "digitwin", "db", "upgrade", DIGITWIN_DATABASE_URL=url)
    assert done.stdout.startswith("applied 0_")
    assert await catalog.read(connection) == catalog.SNAPSHOT.read_text()


def test_an_installed_copy_makes_no_migrations(installed: Path) -> None:
    with pytest.raises(AssertionError, match="checkout"):
        _python(installed / "digitwin", "db", "migrate", "anything")


def test_public_names_and_the_pytest_plugin_work_from_the_wheel(
    installed: Path, tmp_path: Path
) -> None:
    """With the tests and their settings alone, as ``python -m pytest`` in a copy of them."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(checkout.root() / "tests", tmp_path / "tests", ignore=ignored)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(checkout.root() / name, tmp_path)
    tests = ("-m", "pytest", "-p", "no:cacheprovider", *OF_THE_WHEEL)
    assert " passed" in _python(installed / "python", *tests, cwd=tmp_path).stdout
