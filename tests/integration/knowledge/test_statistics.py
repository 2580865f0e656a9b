"""The statistics agree with a count of the rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from digitwin.database import Database
from digitwin.models import User


async def test_the_figures_can_be_recounted(digitwin_db: Database, note: Any, ada: User) -> None:
    for n, status in enumerate(["pending", "ready", "ready", "failed"]):
        await note(title=f"№ {n}", status=status, visibility="visitors" if n else "owner")
    await digitwin_db.documents.delete((await note()).id)
    figures = await digitwin_db.documents.statistics(ada.id)
    living = [d async for d in digitwin_db.documents.stream(user_id=ada.id)]
    assert figures.total == len(living)
    assert figures.by_status == {"processing": 0, **Counter(d.status for d in living)}
    assert figures.by_visibility == Counter(d.visibility for d in living)
    assert figures.bytes == sum(len(d.title.encode()) + len(d.content.encode()) for d in living)
    assert figures.deleted == 1


async def test_nothing_is_counted_as_nothing(digitwin_db: Database, ada: User) -> None:
    figures = await digitwin_db.documents.statistics(ada.id)
    assert (figures.total, figures.bytes, figures.deleted) == (0, 0, 0)
    assert set(figures.by_status.values()) == set(figures.by_visibility.values()) == {0}


async def test_without_a_person_everybodys_count(
    digitwin_db: Database, note: Any, ada: User, bob: User
) -> None:
    await note()
    await note(user_id=bob.id)
    assert (await digitwin_db.documents.statistics()).total == 2
    assert (await digitwin_db.for_user(ada.id).documents.statistics()).total == 1
