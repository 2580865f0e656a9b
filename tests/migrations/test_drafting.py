"""A changed model becomes a migration that a filled database can take."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from digitwin.kernel.migrations import drafting, files
from tests.migrations.conftest import Done
from tests.support.checkout import root

Run = Callable[..., Done]
COMMAND = ("-c", "from digitwin.cli.app import main; main()")

KNOWN = len(files.all_migrations())

FIELD = '    subscription_tier = fields.CharField(max_length=16, default="free")\n'
NEW_FIELD = "    language = fields.CharField(max_length=16, null=True)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout, to change."""
    for folder in ("digitwin", "aerich_migrations"):
        shutil.copytree(root() / folder, tmp_path / folder)
    shutil.copy(root() / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def changed(checkout: Path) -> Path:
    """The copy, with one field more."""
    path = checkout / "digitwin/users/models.py"
    text = path.read_text()
    assert FIELD in text
    path.write_text(text.replace(FIELD, FIELD + NEW_FIELD))
    return checkout


@pytest.fixture
def digitwin(in_checkout: Run) -> Run:
    """The command line of a checkout."""

    def run(*arguments: str, at: Path) -> Done:
        return in_checkout(*COMMAND, *arguments, cwd=at, PYTHONPATH=os.fspath(at))

    return run


async def test_models_and_migrations_agree() -> None:
    assert await drafting.drift() is None


def test_a_changed_model_without_a_migration_fails_the_check(digitwin: Run, changed: Path) -> None:
    done = digitwin("db", "check", "--offline", at=changed)
    assert done.returncode == 1
    assert "ADD" in done.stdout
    assert "language" in done.stdout
    assert len(list(changed.glob("aerich_migrations/digitwin/*.py"))) == KNOWN


def test_no_change_makes_no_file(digitwin: Run, checkout: Path) -> None:
    assert digitwin("db", "migrate", "nothing", at=checkout).returncode == 0
    assert len(list(checkout.glob("aerich_migrations/digitwin/*.py"))) == KNOWN


async def test_a_draft_migrates_a_filled_database_and_back(
    digitwin: Run, changed: Path, checkout: Path, migrated: asyncpg.Connection
) -> None:
    await migrated.execute(
        "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'ada@example.com', 'Ada')"
    )
    for command in (("migrate", "add language"), ("check", "--offline"), ("upgrade",), ("check",)):
        done = await asyncio.to_thread(digitwin, "db", *command, at=changed)
        assert done.returncode == 0, done.stderr
    assert await migrated.fetchval("SELECT language IS NULL FROM users WHERE name = 'Ada'")
    assert await migrated.fetchval("SELECT version FROM digitwin_schema") == KNOWN + 1
    done = await asyncio.to_thread(digitwin, "db", "downgrade", "--force", "--yes", at=changed)
    assert done.returncode == 0, done.stderr
    assert await migrated.fetchval("SELECT version FROM digitwin_schema") == KNOWN
    assert await migrated.fetchval("SELECT count(*) FROM users") == 1


def test_a_draft_counts_itself_and_waits_for_no_lock_for_long(digitwin: Run, changed: Path) -> None:
    digitwin("db", "migrate", "add_language", at=changed)
    (draft,) = changed.glob(f"aerich_migrations/digitwin/{KNOWN}_*_add_language.py")
    text = draft.read_text()
    assert text.count("SET LOCAL lock_timeout") == 1
    assert 'ADD COLUMN IF NOT EXISTS "language"' in text
    assert f'"UPDATE digitwin_schema SET version = {KNOWN + 1}",' in text
    assert f"UPDATE digitwin_schema SET version = {KNOWN};" in text


@pytest.fixture
def with_index(digitwin: Run, checkout: Path) -> Path:
    """The copy, with a migration that adds an index."""
    digitwin("db", "migrate", "--empty", "index", at=checkout)
    (draft,) = checkout.glob(f"aerich_migrations/digitwin/{KNOWN}_*_index.py")
    up = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users__created_at ON users (created_at)"
    draft.write_text(draft.read_text().replace("STEPS = [\n", f'STEPS = [\n    "{up}",\n'))
    return checkout


async def test_an_index_is_built_beside_the_traffic(
    digitwin: Run, with_index: Path, migrated: asyncpg.Connection
) -> None:
    """CONCURRENTLY waits for every open transaction: whoever waits for the migration has none."""
    both = await asyncio.gather(
        *[asyncio.to_thread(digitwin, "db", "upgrade", at=with_index) for _ in range(2)]
    )
    assert [done.returncode for done in both] == [0, 0]
    assert sorted(done.stdout.split()[0] for done in both) == ["The", "applied"]
    assert (await asyncio.to_thread(digitwin, "db", "check", at=with_index)).returncode == 0
    assert await migrated.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users__created_at'::regclass"
    )
