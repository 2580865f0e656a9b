"""A migration that exists for a test alone: it stands for the next one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from digitwin.kernel.migrations import files

NEWEST = len(files.all_migrations())
NEXT = f"{NEWEST}_20991231235959_next.py"
_STATE = files.all_migrations()[-1].module.MODELS_STATE
_SOURCE = """
from digitwin.kernel.migrations.steps import in_one_transaction

STEPS = {steps!r}
LOSES = {loses!r}

async def upgrade(db):
    return in_one_transaction(STEPS)

async def downgrade(db):
    return {down!r}

MODELS_STATE = {state!r}
"""


def forget() -> None:
    """Forget the migrations that were read."""
    files.all_migrations.cache_clear()
    files.tables.cache_clear()


def add(
    patch: pytest.MonkeyPatch,
    folder: Path,
    steps: Sequence[str],
    down: str = "SELECT 1",
    loses: dict[str, str] | None = None,
) -> None:
    """Add it to those of the package, until the patch is undone and they are forgotten."""
    shutil.copytree(files.location(), folder / "migrations")
    source = _SOURCE.format(
        steps=[*steps, f"UPDATE digitwin_schema SET version = {NEWEST + 1}"],
        down=f"{down}; UPDATE digitwin_schema SET version = {NEWEST}",
        loses=loses or {},
        state=_STATE,
    )
    (folder / "migrations" / "digitwin" / NEXT).write_text(source)
    patch.setattr(files, "location", lambda: folder / "migrations")
    forget()
