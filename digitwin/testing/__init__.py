"""A pytest plugin: a real database of its own for every test that asks for one.

Installed with digitwin, nothing to configure::

    async def test_greets(digitwin_db):
        ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
        ...

- ``digitwin_db``          a handle on an empty, migrated database
- ``digitwin_db_factory``  opens more: ``await digitwin_db_factory(pool_max=4)`` on a new database,
  ``await digitwin_db_factory(digitwin_url)`` on the test's own
- ``digitwin_url``         the URL of the test's own, for whatever opens its handle by itself;
  it needs no pytest-asyncio

They are cloned from a template in some 30 ms, on the embedded PostgreSQL or on the server that
``DIGITWIN_TEST_URL`` names, whose user must be allowed to create databases. No other variable
is looked at, so that no test meets a database that matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from digitwin.database import Database


class DatabaseFactory(Protocol):
    """The type of the fixture ``digitwin_db_factory``."""

    async def __call__(self, url: str | None = None, /, **overrides: Any) -> Database:
        """Open a handle, closed after the test; without a URL, on a new database."""
