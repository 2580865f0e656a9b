"""The fixtures. Every pytest run of the environment imports this module, so it imports digitwin
only when a fixture is used."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from digitwin.testing import DatabaseFactory

if TYPE_CHECKING:
    from digitwin.database import Database
    from digitwin.testing.databases import Databases


def _async_fixture(function: Callable[..., Any]) -> Any:
    """Define a pytest-asyncio fixture; without pytest-asyncio, one that fails with a hint."""
    try:
        import pytest_asyncio
    except ImportError:
        return pytest.fixture(name=function.__name__)(_refuse)
    return pytest_asyncio.fixture(function)


def _refuse(request: pytest.FixtureRequest) -> None:
    pytest.fail(
        f"The fixture {request.fixturename} needs pytest-asyncio: run `pip install pytest-asyncio`"
        " (digitwin_url works without it)",
        pytrace=False,
    )


@pytest.fixture(scope="session")
def _digitwin_databases() -> Iterator[Databases]:
    from digitwin.errors import DigiTwinError
    from digitwin.testing.databases import open_databases

    try:
        with open_databases(os.environ.get("DIGITWIN_TEST_URL")) as databases:
            yield databases
    except DigiTwinError as error:
        pytest.fail(f"No database for tests: {error}", pytrace=False)


MASTER_KEY = "ZGlnaXR3aW4gdGVzdHMgb25seSwgbm90IGEgc2VjcmU="
"""Not a secret: protects nothing but test data."""

_KEYS = {"master_key", "master_key_file", "key_service", "settings"}


@pytest.fixture
def digitwin_url(_digitwin_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty, migrated database for this test.

    Sets a master key in the environment if none is configured.
    """
    if not {"DIGITWIN_MASTER_KEY", "DIGITWIN_MASTER_KEY_FILE"} & os.environ.keys():
        monkeypatch.setenv("DIGITWIN_MASTER_KEY", MASTER_KEY)
    database = _digitwin_databases.create()
    yield database.url
    _digitwin_databases.drop(database)


@_async_fixture
async def digitwin_db(digitwin_url: str) -> AsyncIterator[Database]:
    """A handle on ``digitwin_url``."""
    from digitwin.connecting import connect

    async with connect(digitwin_url, migrate="skip") as db:
        yield db


@_async_fixture
async def digitwin_db_factory(_digitwin_databases: Databases) -> AsyncIterator[DatabaseFactory]:
    """Opens handles, on new databases or on a given URL."""
    import asyncio

    from digitwin.connecting import connect

    async with AsyncExitStack() as stack:

        async def open_handle(url: str | None = None, /, **overrides: Any) -> Database:
            if url is None:
                database = await asyncio.to_thread(_digitwin_databases.create)
                stack.callback(_digitwin_databases.drop, database)
                url = database.url
            settings = {"migrate": "skip"} | overrides
            if not _KEYS & overrides.keys():
                settings |= {"master_key": MASTER_KEY, "master_key_file": None}
            return await stack.enter_async_context(connect(url, **settings))

        yield open_handle
