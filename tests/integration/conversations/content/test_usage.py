"""What a request cost is stored once, whatever figures come and whenever they come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.support.waiting import UntilWaiting

USED = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


async def test_a_record_has_what_was_given(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    given: dict[str, Any] = {
        "kind": "llm",
        "model": "m-1",
        "provider": "acme",
        "request_id": "r-1",
        "input_tokens": 10,
        "cached_input_tokens": 20,
        "cache_write_tokens": 30,
        "output_tokens": 40,
        "reasoning_tokens": 50,
        "audio_input_tokens": 60,
        "audio_output_tokens": 70,
        "characters": 80,
        "audio_ms": 90,
    }
    record = await sessions.add_usage(session_id=session.id, turn_id=turn.id, used_at=USED, **given)
    assert {name: getattr(record, name) for name in given} == given
    assert (record.user_id, record.session_id) == (session.user_id, session.id)
    assert (record.turn_id, record.used_at, record.extra) == (turn.id, USED, None)


async def test_what_is_not_given_is_unknown_and_used_now(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    before = await raw.fetchval("SELECT clock_timestamp()")
    record = await sessions.add_usage(session_id=session.id, kind="stt")
    after = await raw.fetchval("SELECT clock_timestamp()")
    assert before < record.used_at < after
    for name in ("turn_id", "model", "provider", "request_id", "input_tokens", "audio_ms"):
        assert getattr(record, name) is None


async def test_odd_figures_do_not_cost_the_record(
    sessions: Sessions, session: ConversationSession
) -> None:
    odd: dict[str, Any] = {"input_tokens": 10.6, "output_tokens": -1, "audio_ms": float("nan")}
    odd |= {"characters": 2**40, "image_tokens": 7, "tier": "batch"}
    record = await sessions.add_usage(session_id=session.id, kind="llm", **odd)
    assert (record.input_tokens, record.output_tokens, record.audio_ms) == (11, None, None)
    assert record.extra == {"characters": 2**40, "image_tokens": 7, "tier": "batch"}


async def test_a_repeated_request_is_one_record(
    sessions: Sessions, session: ConversationSession
) -> None:
    first = await sessions.add_usage(
        session_id=session.id, kind="llm", request_id="r", input_tokens=5
    )
    again = await sessions.add_usage(
        session_id=session.id, kind="llm", request_id="r", input_tokens=6
    )
    assert again == first
    assert again.input_tokens == 5
    other = await sessions.add_usage(session_id=session.id, kind="tts", request_id="r")
    assert other != first


async def test_records_without_a_request_add_up(
    sessions: Sessions, session: ConversationSession
) -> None:
    for _ in range(3):
        await sessions.add_usage(session_id=session.id, kind="llm", input_tokens=5)
    [total] = await sessions.usage_totals(by=())
    assert (total.records, total.input_tokens) == (3, 15)


async def test_concurrent_repeats_are_one_record(
    crowd: Sessions, session: ConversationSession
) -> None:
    records = await asyncio.gather(
        *(
            crowd.add_usage(
                session_id=session.id, kind="llm", request_id=f"r-{n % 5}", input_tokens=n
            )
            for n in range(100)
        )
    )
    by_request: dict[Any, set[Any]] = {}
    for record in records:
        by_request.setdefault(record.request_id, set()).add((record.id, record.input_tokens))
    assert {request: len(ids) for request, ids in by_request.items()} == dict.fromkeys(
        (f"r-{n}" for n in range(5)), 1
    )


async def test_a_repeat_waits_for_the_first_and_returns_it(
    digitwin_db: Database,
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    usage: dict[str, Any] = {"session_id": session.id, "kind": "llm", "request_id": "r"}
    async with digitwin_db.transaction():
        first = await digitwin_db.sessions.add_usage(**usage)
        repeat = asyncio.create_task(other.sessions.add_usage(**usage))
        await until_waiting(1)
    assert await repeat == first


async def test_a_repeat_after_a_rolled_back_first_is_stored(
    digitwin_db: Database,
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    usage: dict[str, Any] = {"session_id": session.id, "kind": "llm", "request_id": "r"}
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            first = await digitwin_db.sessions.add_usage(**usage)
            repeat = asyncio.create_task(other.sessions.add_usage(**usage))
            await until_waiting(1)
            raise ZeroDivisionError
    assert (await repeat).id != first.id


async def test_costs_arrive_after_the_end(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    await sessions.end(session.id)
    record = await sessions.add_usage(session_id=session.id, turn_id=turn.id, kind="llm")
    assert record.turn_id == turn.id


async def test_a_turn_of_another_session_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, turn: ConversationTurn
) -> None:
    other = await sessions.start(session.user_id)
    for turn_id in (turn.id, uuid7()):
        with pytest.raises(NotFoundError) as error:
            await sessions.add_usage(session_id=other.id, turn_id=turn_id, kind="llm")
        assert error.value.details["field"] == "turn_id"
    assert await sessions.usage_totals() == []


async def test_a_session_that_is_missing_is_refused(
    sessions: Sessions, session: ConversationSession
) -> None:
    for call in (
        sessions.add_usage(session_id=uuid7(), kind="llm"),
        sessions.add_usage(session_id=uuid7(), kind="llm", user_id=session.user_id),
        sessions.add_usage(session_id=session.id, kind="llm", user_id=uuid7()),
    ):
        with pytest.raises(NotFoundError) as error:
            await call
        assert error.value.details["field"] == "id"


async def test_nothing_is_added_to_a_deleted_owners_session(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    usage: dict[str, Any] = {"session_id": session.id, "kind": "llm", "request_id": "r"}
    await sessions.add_usage(**usage)
    await digitwin_db.users.delete(ada.id)
    for request in ("r", "s"):
        with pytest.raises(NotFoundError):
            await sessions.add_usage(**{**usage, "request_id": request})


async def test_usage_beside_an_erasure_is_stored_before_or_refused(
    digitwin_db: Database, crowd: Sessions, session: ConversationSession, ada: User
) -> None:
    async def add(n: int) -> Any:
        return await crowd.add_usage(session_id=session.id, kind="llm", request_id=str(n))

    results = await asyncio.gather(
        *(add(n) for n in range(20)),
        digitwin_db.privacy.erase(ada.id, reason="asked"),
        *(add(n) for n in range(20, 60)),
        return_exceptions=True,
    )
    refused = [found for found in results if isinstance(found, BaseException)]
    assert {type(found) for found in refused} <= {NotFoundError}
    left = await digitwin_db._core.db.fetchval("SELECT count(*) FROM usage_records")
    assert left == 0


async def test_usage_waits_for_a_removal_of_its_session_and_leaves_its_transaction_usable(
    raw: asyncpg.Connection,
    digitwin_db: Database,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    async def add() -> int:
        async with digitwin_db.transaction():
            with pytest.raises(NotFoundError):
                await digitwin_db.sessions.add_usage(session_id=session.id, kind="llm")
            return await digitwin_db.sessions.count()

    async with raw.transaction():
        await raw.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
        await raw.execute("DELETE FROM conversation_sessions WHERE id = $1", session.id)
        call = asyncio.create_task(add())
        await until_waiting(1)
    assert await call == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "gpu"}, "kind"),
        ({"kind": None}, "kind"),
        ({"model": ""}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"provider": "p" * 101}, "provider"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"used_at": datetime(2026, 3, 1)}, "used_at"),  # noqa: DTZ001
        ({"turn_id": "x"}, "turn_id"),
        ({"session_id": "x"}, "session_id"),
    ],
)
async def test_what_is_no_figure_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.add_usage(**{"session_id": session.id, "kind": "llm", **given})
    assert error.value.details["field"] == field


async def test_a_transaction_goes_on_after_a_refusal(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession
) -> None:
    async with digitwin_db.transaction():
        with pytest.raises(NotFoundError):
            await sessions.add_usage(session_id=session.id, turn_id=uuid7(), kind="llm")
        await sessions.add_usage(session_id=session.id, kind="llm")
    assert [total.records for total in await sessions.usage_totals()] == [1]


async def test_a_scope_stores_and_counts_its_own_alone(
    digitwin_db: Database, session: ConversationSession, ada: User, bob: User
) -> None:
    hers, his = digitwin_db.for_user(ada.id).sessions, digitwin_db.for_user(bob.id).sessions
    usage: dict[str, Any] = {"session_id": session.id, "kind": "llm", "request_id": "r"}
    first = await hers.add_usage(**usage)
    assert await hers.add_usage(**usage) == first
    with pytest.raises(NotFoundError):
        await his.add_usage(**usage)
    assert [total.records for total in await hers.usage_totals()] == [1]
    with pytest.raises(NotFoundError):
        await his.usage_totals(user_id=ada.id)
    service = digitwin_db.for_service(reason="bill").sessions
    assert await service.add_usage(**usage) == first
    assert [total.user_id for total in await service.usage_totals(by=("user_id",))] == [ada.id]


@pytest.mark.parametrize("by", [(), ("model",)])
async def test_totals_of_a_session_that_is_not_there(
    digitwin_db: Database, session: ConversationSession, ada: User, bob: User, by: Any
) -> None:
    hers, his = digitwin_db.for_user(ada.id).sessions, digitwin_db.for_user(bob.id).sessions
    nothing = await hers.usage_totals(session_id=session.id, by=by)
    assert sum(total.records for total in nothing) == 0
    await hers.add_usage(session_id=session.id, kind="llm")
    for sessions, id in ((his, session.id), (hers, uuid7()), (digitwin_db.sessions, uuid7())):
        with pytest.raises(NotFoundError):
            await sessions.usage_totals(session_id=id, by=by)
    await hers.delete(session.id)
    with pytest.raises(NotFoundError):
        await hers.usage_totals(session_id=session.id, by=by)


async def test_a_service_may_add_records_and_neither_change_nor_remove_them(
    raw: asyncpg.Connection,
) -> None:
    may = "SELECT has_table_privilege($1, 'usage_records', $2)"
    for role in ("digitwin_app", "digitwin_service"):
        assert await raw.fetchval(may, role, "INSERT")
        assert not await raw.fetchval(may, role, "UPDATE")
        assert not await raw.fetchval(may, role, "DELETE")


async def test_totals_by_everything_agree_with_a_recount(
    digitwin_db: Database, sessions: Sessions, ada: User, bob: User
) -> None:
    expected: dict[Any, int] = {}
    for owner in (ada, bob):
        for _ in range(2):
            session = await sessions.start(owner.id)
            for n in range(12):
                model, day = ("m", "n", None)[n % 3], USED + timedelta(days=n % 2)
                await sessions.add_usage(
                    session_id=session.id, kind="llm", model=model, used_at=day, input_tokens=n
                )
                key = owner.id, session.id, model, day.date()
                expected[key] = expected.get(key, 0) + n
    found = await sessions.usage_totals(by=("user_id", "session_id", "model", "day"))
    assert {(t.user_id, t.session_id, t.model, t.day): t.input_tokens for t in found} == expected
    for owner in (ada, bob):
        of_owner = await sessions.usage_totals(user_id=owner.id, by=("model",))
        assert [total.model for total in of_owner] == ["m", "n", None]
        assert sum(total.input_tokens for total in of_owner) == 2 * sum(range(12))


async def test_totals_of_a_participant(
    sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    guest = await sessions.start(ada.id, participant=Participant(kind="guest", ref="web-1"))
    await sessions.add_usage(session_id=session.id, kind="llm", input_tokens=1)
    await sessions.add_usage(session_id=guest.id, kind="llm", input_tokens=2)
    [total] = await sessions.usage_totals(participant_id=guest.participant_id, by=("kind",))
    assert (total.kind, total.input_tokens) == ("llm", 2)
    by = await sessions.usage_totals(by=("participant_id",))
    assert {(t.participant_id, t.input_tokens) for t in by} == {
        (guest.participant_id, 2),
        (None, 1),
    }


async def test_a_day_begins_in_the_given_time_zone(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_usage(session_id=session.id, kind="llm", used_at=USED)
    [utc] = await sessions.usage_totals(by=("day",))
    [berlin] = await sessions.usage_totals(by=("day",), time_zone="Europe/Berlin")
    assert (utc.day, berlin.day) == (USED.date(), (USED + timedelta(days=1)).date())


async def test_since_is_included_and_until_is_not(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_usage(session_id=session.id, kind="llm", used_at=USED)
    tick = timedelta(microseconds=1)
    tokyo = USED.astimezone(timezone(timedelta(hours=9)))
    assert len(await sessions.usage_totals(since=tokyo, until=USED + tick)) == 1
    assert await sessions.usage_totals(since=USED + tick) == []
    assert await sessions.usage_totals(until=USED) == []


async def test_no_groups_are_one_total(sessions: Sessions, session: ConversationSession) -> None:
    [total] = await sessions.usage_totals(by=())
    assert (total.records, total.total_input_tokens, total.audio_ms) == (0, 0, 0)


async def test_a_total_of_tokens_is_the_sum_of_its_buckets(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_usage(
        session_id=session.id,
        kind="llm",
        input_tokens=1,
        cached_input_tokens=10,
        cache_write_tokens=100,
        audio_input_tokens=1000,
        output_tokens=2,
        reasoning_tokens=20,
        audio_output_tokens=200,
    )
    [total] = await sessions.usage_totals()
    assert (total.total_input_tokens, total.total_output_tokens) == (1111, 222)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"by": ("price",)}, "by"),
        ({"by": "model"}, "by"),
        ({"by": None}, "by"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "'; DROP TABLE users; --"}, "time_zone"),
        ({"time_zone": None}, "time_zone"),
        ({"since": "2026-03-01"}, "since"),
        ({"until": datetime(2026, 3, 1)}, "until"),  # noqa: DTZ001
        ({"session_id": "x"}, "session_id"),
        ({"participant_id": 3}, "participant_id"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    sessions: Sessions, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.usage_totals(**given)
    assert error.value.details["field"] == field


async def test_totals_are_never_cut(
    raw: asyncpg.Connection, sessions: Sessions, session: ConversationSession
) -> None:
    await raw.execute(
        "INSERT INTO usage_records (user_id, session_id, id, kind, model) SELECT $1, $2,"
        " gen_random_uuid(), 'llm', 'm-' || n FROM generate_series(1, 10000) AS n",
        session.user_id,
        session.id,
    )
    assert len(await sessions.usage_totals(by=("model",))) == 10_000
    await sessions.add_usage(session_id=session.id, kind="llm", model="m-0")
    with pytest.raises(InvalidInputError) as error:
        await sessions.usage_totals(by=("model",))
    assert error.value.details["limit"] == 10_000


async def test_totals_agree_while_records_come(
    crowd: Sessions, session: ConversationSession
) -> None:
    """Sums of one statement are of one snapshot, and at the end nothing is missing."""

    async def write(n: int) -> None:
        await crowd.add_usage(
            session_id=session.id, kind="llm", model=f"m-{n % 3}", input_tokens=2, output_tokens=3
        )

    async def read() -> None:
        totals = await crowd.usage_totals(session_id=session.id, by=("model",))
        for total in totals:
            assert total.input_tokens * 3 == total.output_tokens * 2 == total.records * 6

    await asyncio.gather(*(write(n) for n in range(150)), *(read() for _ in range(20)))
    totals = await crowd.usage_totals(session_id=session.id, by=("model",))
    assert [total.records for total in totals] == [50, 50, 50]


async def test_statistics_count_turns_and_records_together(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User, bob: User
) -> None:
    for _ in range(3):
        turn = await sessions.add_turn(
            session.id, user_text="x", usage={"input_tokens": 1, "output_tokens": 2}
        )
        await sessions.add_usage(
            session_id=session.id,
            turn_id=turn.id,
            kind="llm",
            input_tokens=10,
            cached_input_tokens=100,
            cache_write_tokens=1000,
            audio_input_tokens=10_000,
            output_tokens=20,
            reasoning_tokens=200,
            audio_output_tokens=2000,
        )
    await sessions.add_usage(session_id=session.id, kind="tts", characters=7, audio_ms=70)
    his = await sessions.start(bob.id)
    await sessions.add_usage(session_id=his.id, kind="llm", input_tokens=5)
    await sessions.end(session.id)
    found = await sessions.statistics(user_id=ada.id)
    assert (found.turns, found.input_tokens, found.output_tokens) == (3, 3 * 11_111, 3 * 2222)
    assert (found.usage.records, found.usage.input_tokens) == (4, 30)
    assert (found.usage.cached_input_tokens, found.usage.reasoning_tokens) == (300, 600)
    assert (found.usage.characters, found.usage.audio_ms) == (7, 70)
    assert (await sessions.statistics()).usage.records == 5
    assert await digitwin_db.for_user(ada.id).sessions.statistics() == found
    await digitwin_db.users.delete(ada.id)
    assert (await sessions.statistics()).usage.records == 1
    assert [total.user_id for total in await sessions.usage_totals(by=("user_id",))] == [bob.id]


async def test_sums_go_beyond_a_single_column(
    sessions: Sessions, session: ConversationSession
) -> None:
    most = 2**31 - 1
    for _ in range(3):
        await sessions.add_usage(session_id=session.id, kind="llm", input_tokens=most)
    [total] = await sessions.usage_totals(by=())
    assert total.input_tokens == (await sessions.statistics()).input_tokens == 3 * most
