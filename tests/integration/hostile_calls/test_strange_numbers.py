"""A whole number of a class of its own counts as the number that it is, wherever it goes."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import StaleVersionError
from digitwin.models import User
from tests.integration.hostile_calls.values import StrangeInt


async def test_a_lease(digitwin_db: Database) -> None:
    strange: Any = StrangeInt(5)
    assert await digitwin_db.limits.consume("ada", "/chat", limit=10, window=60, lease=strange)


async def test_an_expected_version(digitwin_db: Database, ada: User) -> None:
    face = await digitwin_db.faces.create(user_id=ada.id, name="Smile")
    strange: Any = StrangeInt(5)
    for update in (
        digitwin_db.users.update(ada.id, name="Ann", expected_version=strange),
        digitwin_db.users.update(ada.id, email="ann@example.com", expected_version=strange),
        digitwin_db.faces.update(face.id, status="training", expected_version=strange),
    ):
        with pytest.raises(StaleVersionError, match="not 5"):
            await update
