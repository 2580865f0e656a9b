"""A new table is declared once, and takes part everywhere."""

from __future__ import annotations

import asyncio
import sys

import pytest

from digitwin.kernel.sql.tables import SHARED, Table, declare


async def test_a_table_that_declares_itself_needs_no_edit_elsewhere(digitwin_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.privacy.new_table", digitwin_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out.decode().strip()) == (0, "all derived"), err.decode()


def test_a_table_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        declare(Table(name="users", rights=SHARED, holds="a copy"))
