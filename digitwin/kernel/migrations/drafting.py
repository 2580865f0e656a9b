"""Drafts migrations from model changes with Aerich, to be finished by hand.

The only module that runs Aerich. Aerich initializes the models differently from a handle, so use
it only in processes without one: the command line, and ``aerich`` itself, which finds its
configuration here as ``TORTOISE_ORM``.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import dsn
from digitwin.kernel.migrations import files
from digitwin.kernel.migrations.schema_state import APP
from digitwin.settings import Settings

_NOWHERE: dict[str, Any] = {"host": "offline", "user": "offline", "database": "offline"}


def __getattr__(name: str) -> Any:
    """Build ``TORTOISE_ORM`` on access: the URL is in the environment."""
    if name != "TORTOISE_ORM":
        raise AttributeError(name)
    settings = Settings()
    target = dsn.resolve(settings)
    if target is None:
        raise ConfigurationError(
            "Set DIGITWIN_DATABASE_URL for aerich; `digitwin db url` prints the embedded one's",
            field="url",
        )
    return _config(_credentials(target, settings))


def _credentials(target: dsn.Target, settings: Settings) -> dict[str, Any]:
    arguments = target.connect_args()
    arguments["server_settings"] |= {"search_path": f'"{settings.schema_name}"', "timezone": "UTC"}
    return arguments | {"timeout": settings.connect_timeout}


def _config(credentials: dict[str, Any]) -> dict[str, Any]:
    engine = "tortoise.backends.asyncpg"
    return {
        "connections": {"default": {"engine": engine, "credentials": credentials}},
        "apps": {
            APP: {
                "models": ["digitwin.models", "aerich.models"],
                "default_connection": "default",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


async def make(name: str, *, empty: bool = False) -> Path | None:
    """Write the next migration into the checkout.

    Args:
        name: a short name, such as ``add_language``.
        empty: write an empty migration, for manual SQL.

    Returns:
        The file, or None if no model has changed.

    Raises:
        ConfigurationError: digitwin runs from an installed package, not from a checkout.
    """
    folder = files.location()
    if folder.name == "_migrations":
        raise ConfigurationError(
            "Migrations can only be created in a checkout of digitwin", field="name"
        )
    version = len(files.all_migrations()) + 1
    path = await _draft(folder, name, empty=empty)
    if path is not None:
        path.write_text(_in_steps(path.read_text(), version))
    return path


async def drift() -> str | None:
    """Return the migration Aerich would draft; None if models and migrations match."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "migrations")
        shutil.copytree(files.location(), copy)
        path = await _draft(copy, "drift")
        return path.read_text() if path else None


async def _draft(folder: Path, name: str, *, empty: bool = False) -> Path | None:
    """Run in a separate process: Aerich initializes the models differently."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return await loop.run_in_executor(process, _draft_in_process, folder, name, empty)


def _draft_in_process(folder: Path, name: str, empty: bool) -> Path | None:
    return asyncio.run(_drafted(folder, name, empty))


async def _drafted(folder: Path, name: str, empty: bool) -> Path | None:
    from aerich import Command
    from tortoise.context import TortoiseContext

    config = _config(_NOWHERE)
    async with TortoiseContext() as context:
        await context.init(config=config)
        command = Command(config, app=APP, location=str(folder))
        await command.init(offline=True)
        file = await command.migrate(name, empty=empty, no_input=True, offline=True)
    return folder / APP / file if file else None


_DRAFT = """
# Each step is a transaction, or one statement with CONCURRENTLY. CONTRIBUTING has the rules
STEPS = [
{steps}    # With `, oldest_reader = {version}`, if the previous release cannot work with this
    "UPDATE digitwin_schema SET version = {version}",
]

# What the way back loses, besides what is in the tables and columns that it drops: name and query
LOSES: dict[str, str] = {{}}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return in_one_transaction(STEPS)


async def downgrade(db: BaseDBAsyncClient) -> str:
    return \"""
        SET LOCAL lock_timeout = '50ms';{down}
        UPDATE digitwin_schema SET version = {before};
\""\""""


def _in_steps(draft: str, version: int) -> str:
    """Make a draft of Aerich what every migration is: steps, and the version of the schema."""
    head, up, _, down, tail = draft.split('"""')
    head = head[: head.index("async def upgrade")].replace(
        "import BaseDBAsyncClient\n", f"import BaseDBAsyncClient\n\n{_IMPORT}\n"
    )
    steps = [_repeatable(line.strip()) for line in up.split(";\n") if line.strip(" ;\n")]
    body = _DRAFT.format(
        steps="".join(f'    """{step}""",\n' for step in steps),
        version=version,
        before=version - 1,
        down=down.rstrip(),
    )
    return head.rstrip() + "\n" + body + tail


_IMPORT = "from digitwin.kernel.migrations.steps import in_one_transaction"


def _repeatable(statement: str) -> str:
    """Return the statement in the form that can run again, as far as there is one."""
    statement = statement.rstrip(";")
    statement = re.sub(r'^(ALTER TABLE "\w+") ADD "', r'\1 ADD COLUMN IF NOT EXISTS "', statement)
    return re.sub(r"^(CREATE (?:UNIQUE )?INDEX) IF", r"\1 CONCURRENTLY IF", statement)
