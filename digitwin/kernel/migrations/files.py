"""The migrations this package carries, as Aerich writes them."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import zlib
from collections.abc import Awaitable, Callable
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
    """One file; ``name`` is what Aerich's table calls it."""

    name: str
    module: ModuleType

    @property
    def in_transaction(self) -> bool:
        """All or nothing; else it is one statement that can run in none."""
        return bool(getattr(self.module, "RUN_IN_TRANSACTION", True))

    @property
    def models_state(self) -> dict[str, Any]:
        """The models as they were, by which Aerich finds the next changes."""
        packed = base64.b64decode(self.module.MODELS_STATE)
        state: dict[str, Any] = json.loads(zlib.decompress(packed))
        return state

    async def upgrade(self) -> str:
        """The SQL that applies it; ours asks the database nothing."""
        return await _sql(self.module.upgrade)

    async def downgrade(self) -> str:
        """The SQL that takes it back."""
        return await _sql(self.module.downgrade)


async def _sql(write: Callable[[None], Awaitable[str]]) -> str:
    return await write(None)


def location() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


@cache
def all_migrations() -> tuple[Migration, ...]:
    """Every migration of this package, oldest first."""
    numbered = [
        (int(match[1]), path)
        for path in (location() / "digitwin").glob("*.py")
        if (match := _NAME.fullmatch(path.stem))
    ]
    return tuple(Migration(path.name, _load(path)) for _, path in sorted(numbered))


def named(name: str) -> Migration:
    """The migration of this name."""
    return next(migration for migration in all_migrations() if migration.name == name)


@cache
def tables() -> tuple[str, ...]:
    """The tables that the migrations create and that must not be there before."""
    source = "\n".join(Path(m.module.__file__ or "").read_text() for m in all_migrations())
    return tuple(sorted(set(_CREATED.findall(source))))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"digitwin_migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
