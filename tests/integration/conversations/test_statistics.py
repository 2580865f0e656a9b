"""The statistics agree with a recount of the rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from digitwin import SessionStatistics, StageStatistics
from digitwin.conversations.fields import STAGES
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User

SEEDS = range(6)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOUNDS: list[tuple[float | None, float | None]] = [
    (None, None),
    (4, None),
    (None, 4),
    (2, 6),
    (4, 4),
    (6, 2),
    (-9, 99),
]
"""Hours after noon; some equal a session's start to the microsecond."""


async def talk(db: Database, owners: list[User], seed: int) -> None:
    """Random ended sessions with random turns, one per hour from noon."""
    chance = random.Random(seed)
    for hour in range(chance.randint(6, 10)):
        session = await db.sessions.start(chance.choice(owners).id)
        await db.sessions.add_turns(session.id, [some_turn(chance) for _ in range(hour * 3)])
        await db.sessions.end(session.id)
        await backdate(db, session, NOON + hour * HOUR, chance.uniform(0, 5000))


async def backdate(
    db: Database, session: ConversationSession, start: datetime, seconds: float
) -> None:
    await db._core.db.execute(
        "UPDATE conversation_sessions SET started_at = $2, ended_at = $3 WHERE id = $1",
        session.id,
        start,
        start + timedelta(seconds=seconds),
    )


def some_turn(chance: random.Random) -> Any:
    def figures(names: tuple[str, ...], odds: float) -> dict[str, int]:
        return {name: chance.randint(0, 2000) for name in names if chance.random() < odds}

    return {
        "user_text": "x",
        "interrupted": chance.random() < 0.3,
        # render_ms is never measured
        "timings": figures(tuple(s for s in STAGES if s != "render_ms"), 0.6),
        "usage": figures(("input_tokens", "output_tokens"), 0.8),
    }


async def recounted(
    db: Database, owner: Any = None, since: Any = None, until: Any = None
) -> SessionStatistics:
    """The same totals, computed from the rows."""
    sessions = [
        session
        async for session in db.sessions.stream()
        if owner in (None, session.user_id)
        and (since is None or session.started_at >= since)
        and (until is None or session.started_at < until)
    ]
    turns = [t for s in sessions for t in (await db.sessions.with_turns(s.id)).turns]
    return SessionStatistics(
        sessions=len(sessions),
        turns=len(turns),
        interruptions=sum(turn.status == "interrupted" for turn in turns),
        duration_seconds=pytest.approx(sum(map(seconds_of, sessions))),
        input_tokens=sum(turn.usage.get("input_tokens", 0) for turn in turns),
        output_tokens=sum(turn.usage.get("output_tokens", 0) for turn in turns),
        stages={stage: measured(turns, stage) for stage in STAGES},
    )


def seconds_of(session: ConversationSession) -> float:
    assert session.ended_at is not None
    return (session.ended_at - session.started_at).total_seconds()


def measured(turns: list[ConversationTurn], stage: str) -> StageStatistics:
    times = sorted(turn.timings[stage] for turn in turns if stage in turn.timings)
    return StageStatistics(len(times), *(percentile(times, p) for p in (0.5, 0.95, 0.99)))


def percentile(times: list[int], share: float) -> Any:
    """Interpolate between neighbours, like percentile_cont."""
    if not times:
        return None
    place = share * (len(times) - 1)
    low = times[int(place)]
    high = times[min(int(place) + 1, len(times) - 1)]
    return pytest.approx(low + (place - int(place)) * (high - low))


async def test_nothing_adds_up_to_nothing(sessions: Sessions) -> None:
    nothing = StageStatistics(0, None, None, None)
    assert await sessions.statistics() == SessionStatistics(
        0, 0, 0, 0.0, 0, 0, dict.fromkeys(STAGES, nothing)
    )


async def test_a_stranger_has_nothing(digitwin_db: Database, sessions: Sessions, ada: User) -> None:
    await talk(digitwin_db, [ada], 1)
    assert (await sessions.statistics(user_id=uuid7())).sessions == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_sums_agree_with_a_recount_for_everybody_and_for_each(
    digitwin_db: Database, sessions: Sessions, ada: User, bob: User, seed: int
) -> None:
    await talk(digitwin_db, [ada, bob], seed)
    for owner in (None, ada.id, bob.id):
        found = await sessions.statistics(user_id=owner)
        assert found == await recounted(digitwin_db, owner)
    assert found.stages["render_ms"] == StageStatistics(0, None, None, None)


@pytest.mark.parametrize(("since", "until"), BOUNDS)
async def test_since_is_included_and_until_is_not(
    digitwin_db: Database,
    sessions: Sessions,
    ada: User,
    bob: User,
    since: float | None,
    until: float | None,
) -> None:
    await talk(digitwin_db, [ada, bob], 7)
    first, end = (None if hours is None else NOON + hours * HOUR for hours in (since, until))
    for owner in (None, ada.id):
        found = await sessions.statistics(user_id=owner, since=first, until=end)
        assert found == await recounted(digitwin_db, owner, first, end)


async def test_bounds_are_exact_to_the_microsecond(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.end(session.id)
    await backdate(digitwin_db, session, NOON, 1)
    tick = timedelta(microseconds=1)
    assert (await sessions.statistics(since=NOON, until=NOON + tick)).sessions == 1
    assert (await sessions.statistics(since=NOON + tick)).sessions == 0
    assert (await sessions.statistics(until=NOON)).sessions == 0


async def test_a_scope_counts_its_own_alone(digitwin_db: Database, ada: User, bob: User) -> None:
    await talk(digitwin_db, [ada, bob], 3)
    mine = await digitwin_db.for_user(ada.id).sessions.statistics()
    assert mine == await recounted(digitwin_db, ada.id)


async def test_one_time_is_every_percentile_of_itself(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="x", timings={"asr_ms": 80})
    assert (await sessions.statistics()).stages["asr_ms"] == StageStatistics(1, 80, 80, 80)


async def test_percentiles_are_interpolated_between_neighbours(
    sessions: Sessions, session: ConversationSession
) -> None:
    for time in (100, 200):
        await sessions.add_turn(session.id, user_text="x", timings={"asr_ms": time})
    stage = (await sessions.statistics()).stages["asr_ms"]
    assert (stage.p50, stage.p95, stage.p99) == pytest.approx((150, 195, 199))


async def test_an_open_session_counts_up_to_now(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    clock = "SELECT extract(epoch FROM clock_timestamp() - $1)::float8"
    before = await raw.fetchval(clock, session.started_at)
    duration = (await sessions.statistics()).duration_seconds
    after = await raw.fetchval(clock, session.started_at)
    assert before < duration < after


async def test_sums_go_beyond_a_single_column(
    sessions: Sessions, session: ConversationSession
) -> None:
    most = 2**31 - 1
    turn: Any = {"user_text": "x", "usage": {"input_tokens": most, "output_tokens": most}}
    await sessions.add_turns(session.id, [turn] * 3)
    assert (await sessions.statistics()).input_tokens == 3 * most


async def test_the_sessions_of_a_deleted_owner_do_not_count(
    digitwin_db: Database, sessions: Sessions, ada: User, bob: User
) -> None:
    await talk(digitwin_db, [ada, bob], 2)
    await digitwin_db.users.delete(ada.id)
    assert await sessions.statistics() == await recounted(digitwin_db, bob.id)
    assert (await sessions.statistics(user_id=ada.id)).sessions == 0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": datetime(2026, 3, 1)}, "since"),  # noqa: DTZ001
        ({"until": datetime(2026, 3, 1)}, "until"),  # noqa: DTZ001
        ({"since": "2026-03-01"}, "since"),
        ({"until": 0}, "until"),
        ({"user_id": "ada"}, "user_id"),
    ],
)
async def test_a_period_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, asked: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.statistics(**asked)
    assert error.value.details["field"] == field


async def test_a_time_may_be_told_in_any_zone(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.end(session.id)
    await backdate(digitwin_db, session, NOON, 1)
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    assert (await sessions.statistics(since=tokyo)).sessions == 1
    assert (await sessions.statistics(until=tokyo)).sessions == 0
