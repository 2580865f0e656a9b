"""Pages, counts and exports of the trail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7

Past = Callable[..., Awaitable[list[UUID]]]

ADA, BOB = uuid7(), uuid7()


@pytest.fixture
async def trail(digitwin_db: Database) -> Database:
    """Twelve records of every kind."""
    await digitwin_db.audit.record_many(
        {
            "action": ("login", "user.delete", "user.restore")[n % 3],
            "resource": ("user", "session")[n % 2],
            "resource_id": str(n % 4),
            "user_id": (ADA, BOB)[n % 2],
            "actor_id": (None, ADA)[n % 2],
            "result": ("success", "denied", "failure")[n % 3],
        }
        for n in range(12)
    )
    return digitwin_db


async def test_pages_hold_every_record_once_newest_first(trail: Database) -> None:
    found, after = [], None
    while True:
        page = await trail.audit.list(limit=5, after=after)
        found += [record.id for record in page.items]
        after = page.next_cursor
        if after is None:
            break
    assert len(found) == 12
    assert found == sorted(set(found), reverse=True)


async def test_a_record_added_meanwhile_does_not_move_the_pages(trail: Database) -> None:
    first = await trail.audit.list(limit=6)
    await trail.audit.record("late", "user")
    rest = await trail.audit.list(limit=1000, after=first.next_cursor)
    assert len(rest.items) == 6
    assert "late" not in {record.action for record in rest.items}


FILTERS: list[tuple[str, Any]] = [
    ("action", "login"),
    ("resource", "session"),
    ("resource_id", "3"),
    ("actor_id", ADA),
    ("user_id", BOB),
    ("result", "denied"),
]


@pytest.mark.parametrize(("field", "value"), FILTERS, ids=[field for field, _ in FILTERS])
async def test_a_filter_gives_what_equals_and_all_of_it(
    trail: Database, field: str, value: Any
) -> None:
    everything = (await trail.audit.list(limit=1000)).items
    expected = [record.id for record in everything if getattr(record, field) == value]
    found = (await trail.audit.list(limit=1000, **{field: value})).items
    assert [record.id for record in found] == expected
    assert 0 < len(found) < len(everything)


async def test_filters_join_with_a_page(trail: Database) -> None:
    first = await trail.audit.list(limit=3, user_id=ADA)
    second = await trail.audit.list(limit=3, user_id=ADA, after=first.next_cursor)
    assert len({record.id for record in first.items + second.items}) == 6
    assert second.next_cursor is None


async def test_a_period_includes_its_start_and_not_its_end(
    digitwin_db: Database, past: Past, now: datetime
) -> None:
    await past(3)
    [middle] = await past(2)
    await past(1)
    found = await digitwin_db.audit.list(
        since=now - timedelta(days=2), until=now - timedelta(days=1)
    )
    assert [record.id for record in found.items] == [middle]


BAD: list[tuple[str, Any]] = [
    ("limit", 0),
    ("limit", 1001),
    ("after", "nonsense"),
    ("user_id", "ada"),
    ("result", "maybe"),
    ("since", datetime(2026, 1, 1)),  # noqa: DTZ001 - naive on purpose
    ("colour", "red"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
async def test_a_question_that_does_not_fit_is_refused_by_name(
    digitwin_db: Database, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await digitwin_db.audit.list(**{field: value})
    assert refused.value.details["field"] == field


async def test_statistics_agree_with_the_records(trail: Database) -> None:
    records = (await trail.audit.list(limit=1000)).items
    counted = await trail.audit.statistics()
    assert counted.total == len(records)
    assert counted.by_action == Counter(record.action for record in records)
    assert counted.by_result == Counter(record.result for record in records)
    assert counted.by_user == Counter(record.user_id for record in records)
    assert counted.by_day == Counter(record.created_at.date() for record in records)


async def test_statistics_keep_to_their_period(trail: Database, past: Past, now: datetime) -> None:
    await past(2, 4)
    day = (now - timedelta(days=2)).date()
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    counted = await trail.audit.statistics(since=start, until=start + timedelta(days=1))
    assert (counted.total, counted.by_day) == (4, {day: 4})


async def test_an_empty_trail_counts_to_nothing(digitwin_db: Database) -> None:
    counted = await digitwin_db.audit.statistics()
    assert (counted.total, counted.by_action, counted.by_day) == (0, {}, {})


async def test_an_export_is_json_of_every_record_oldest_first(trail: Database) -> None:
    rows = [json.loads(json.dumps(row)) async for row in trail.audit.export()]
    newest_first = (await trail.audit.list(limit=1000)).items
    assert [row["id"] for row in rows] == [str(record.id) for record in reversed(newest_first)]
    assert rows[0]["user_id"] == str(ADA)
    assert rows[0]["metadata"] == {}
    assert datetime.fromisoformat(rows[0]["created_at"]) == newest_first[-1].created_at


async def test_an_export_keeps_to_its_period(trail: Database, past: Past, now: datetime) -> None:
    [old] = await past(5)
    rows = [row async for row in trail.audit.export(until=now - timedelta(days=1))]
    assert [row["id"] for row in rows] == [str(old)]


async def test_an_export_left_early_gives_its_connection_back(trail: Database) -> None:
    export = trail.audit.export()
    await anext(export)
    await export.aclose()
    assert (await trail.health()).pool.in_use == 0
