"""The README's example does what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_example_runs_and_prints_what_it_says(digitwin_url: str, tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    claimed = re.search(r"It prints `(.*)`\.", README)
    assert example is not None
    assert claimed is not None
    done = subprocess.run(
        [sys.executable, "-c", example[1]],
        env=os.environ | {"DIGITWIN_DATABASE_URL": digitwin_url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{claimed[1]}\n"


def test_the_fixture_does_what_the_example_shows(pytester: object) -> None:
    """The second test of the README, in a project of its own."""
    import pytest

    assert isinstance(pytester, pytest.Pytester)
    example = re.search(r"```python\n(async def test_greets.*?)```", README, re.DOTALL)
    assert example is not None
    pytester.makepyfile(example[1])
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
