"""The migration files of this package, in Aerich's format."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_INSTALLED = Path(__file__).parents[2] / "_migrations"
_CHECKOUT = Path(__file__).parents[3] / "aerich_migrations"

_NAME = re.compile(r"(\d+)_\w+")
_CREATED = re.compile(r"^CREATE TABLE (?!IF )(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration file, read when its content is asked for."""

    path: Path

    @property
    def name(self) -> str:
        """Its name in Aerich's table."""
        return self.path.name

    @property
    def module(self) -> ModuleType:
        """The file, imported."""
        return _load(self.path)

    @property
    def steps(self) -> Sequence[str] | None:
        """Its steps, see :mod:`digitwin.kernel.migrations.steps`; None: one transaction."""
        return getattr(self.module, "STEPS", None)

    @property
    def loses(self) -> Mapping[str, str]:
        """What its downgrade loses besides dropped tables and columns, each with a query."""
        return getattr(self.module, "LOSES", {})

    @property
    def models_state(self) -> dict[str, Any]:
        """The models at that time, which Aerich compares with the current ones."""
        packed = base64.b64decode(self.module.MODELS_STATE)
        state: dict[str, Any] = json.loads(zlib.decompress(packed))
        return state

    async def upgrade(self) -> str:
        """Return the SQL that applies it."""
        return await _sql(self.module.upgrade)

    async def downgrade(self) -> str:
        """Return the SQL that reverts it."""
        return await _sql(self.module.downgrade)


async def _sql(write: Callable[[None], Awaitable[str]]) -> str:
    return await write(None)


def location() -> Path:
    """Return the folder of the migrations: in the installed package, or in the checkout."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


@cache
def all_migrations() -> tuple[Migration, ...]:
    """Return every migration of this package, oldest first."""
    numbered = [
        (int(match[1]), path)
        for path in (location() / "digitwin").glob("*.py")
        if (match := _NAME.fullmatch(path.stem))
    ]
    return tuple(Migration(path) for _, path in sorted(numbered))


def named(name: str) -> Migration:
    """Return the migration with this name."""
    return next(migration for migration in all_migrations() if migration.name == name)


@cache
def tables() -> tuple[str, ...]:
    """Return the tables that the migrations create, which must not exist before."""
    source = "\n".join(migration.path.read_text() for migration in all_migrations())
    return tuple(sorted(set(_CREATED.findall(source))))


@cache
def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"digitwin_migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
