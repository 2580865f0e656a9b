"""A pytest plugin: fixtures that give each test its own PostgreSQL database.

Installed with digitwin, without configuration::

    async def test_greets(digitwin_db):
        ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
        ...

- ``digitwin_db``          a handle on an empty, migrated database
- ``digitwin_db_factory``  opens more handles: ``await digitwin_db_factory(pool_max=4)`` on a new
  database, ``await digitwin_db_factory(digitwin_url)`` on the test's database
- ``digitwin_url``         the URL of the test's database, for code that opens its own handle;
  does not need pytest-asyncio

Databases are cloned from a template in about 30 ms, on the embedded PostgreSQL or on the server of
``DIGITWIN_TEST_URL``, whose user must be allowed to create databases. No other variable is read,
so that tests cannot touch another database by accident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from digitwin.database import Database


class DatabaseFactory(Protocol):
    """The type of the fixture ``digitwin_db_factory``."""

    async def __call__(self, url: str | None = None, /, **overrides: Any) -> Database:
        """Open a handle that is closed after the test; on a new database if ``url`` is unset."""
