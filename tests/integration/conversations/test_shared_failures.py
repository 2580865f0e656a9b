"""What befalls one caller of a shared statement, or all of them, and what it leaves behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.conversations import appending
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import (
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    QueryTimeoutError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, ConversationTurn, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import WRITERS, assert_gapless
from tests.integration.conversations.queue import Between, Queue, end_long_ago, locked, texts
from tests.support.waiting import UntilWaiting

# Ends, deletions, errors


async def test_after_the_end_each_is_refused(
    sessions: Sessions, session: ConversationSession, queue: Queue, between: Between
) -> None:
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(6))
    _, outcomes = await between.run(lambda db: end_long_ago(db, session))
    assert outcomes[0].user_text == "0"
    for outcome in outcomes[1:]:
        assert isinstance(outcome, InvalidStateError)
        assert outcome.details["status"] == "ended"
    await assert_gapless(sessions, session.id, 1)


async def test_after_the_owners_deletion_none_is_found(
    sessions: Sessions, session: ConversationSession, queue: Queue, between: Between, ada: User
) -> None:
    await queue.begin(
        sessions.add_turn(session.id, user_text=f"{n}", idempotency_key=f"k{n % 2}" if n else None)
        for n in range(6)
    )
    _, outcomes = await between.run(lambda db: db.users.delete(ada.id))
    assert all(isinstance(outcome, NotFoundError) for outcome in outcomes[1:])


async def test_invalid_input_is_refused_before_anything_is_sent(
    sessions: Sessions, session: ConversationSession, queue: Queue
) -> None:
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(3))
    with pytest.raises(InvalidInputError):
        await sessions.add_turn(session.id, user_text="")
    await queue.outcomes()
    await assert_gapless(sessions, session.id, 3)


async def test_a_lock_that_is_not_granted_fails_each_and_stores_nothing(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    queue: Queue,
) -> None:
    db = await digitwin_db_factory(digitwin_url, lock_timeout=0.2)
    await queue.begin(db.sessions.add_turn(session.id, user_text=f"{n}") for n in range(6))
    outcomes = await asyncio.gather(*queue.tasks, return_exceptions=True)
    assert all(isinstance(outcome, QueryTimeoutError) for outcome in outcomes)
    await queue.release()
    await assert_gapless(db.sessions, session.id, 0)


async def test_a_locked_session_does_not_hold_back_later_calls_for_long(
    monkeypatch: pytest.MonkeyPatch,
    sessions: Sessions,
    session: ConversationSession,
    queue: Queue,
    until_waiting: UntilWaiting,
) -> None:
    monkeypatch.setattr(appending, "PATIENCE", 0.01)
    await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(6))
    await until_waiting(2)
    await queue.outcomes()
    await assert_gapless(sessions, session.id, 6)


# Cancellation and closing


@pytest.mark.parametrize("gone", [[0], [1, 3], [0, 1, 2, 3, 4]])
async def test_the_others_are_stored_whoever_is_cancelled(
    sessions: Sessions, session: ConversationSession, queue: Queue, gone: list[int]
) -> None:
    tasks = await queue.begin(sessions.add_turn(session.id, user_text=f"{n}") for n in range(6))
    for n in gone:
        tasks[n].cancel()
    outcomes = await queue.outcomes()
    left = [n for n in range(6) if n not in gone]
    assert texts(outcomes[n] for n in left) == [f"{n}" for n in left]
    assert all(isinstance(outcomes[n], asyncio.CancelledError) for n in gone)
    stored = (await sessions.with_turns(session.id)).turns
    assert len(stored) in (len(left), len(left) + (0 in gone))  # the first one was sent
    await assert_gapless(sessions, session.id, len(stored))


async def test_a_closing_handle_waits_for_those_who_wait(
    other: Database, sessions: Sessions, session: ConversationSession, queue: Queue
) -> None:
    await queue.begin(other.sessions.add_turn(session.id, user_text=f"{n}") for n in range(6))
    closing = asyncio.ensure_future(other.close())
    assert texts(await queue.outcomes()) == [f"{n}" for n in range(6)]
    await closing
    await assert_gapless(sessions, session.id, 6)


@pytest.mark.parametrize("seed", range(8))
async def test_a_crowd_that_repeats_itself_is_cancelled_and_meets_the_end_leaves_no_gap(
    crowd: Sessions, other: Database, session: ConversationSession, seed: int
) -> None:
    chance = random.Random(seed)

    async def write(n: int) -> list[ConversationTurn]:
        sessions, turns = chance.choice([crowd, other.sessions]), []
        for m in range(6):
            key = f"k{chance.randrange(40)}" if chance.random() < 0.4 else None
            try:
                turns.append(
                    await sessions.add_turn(session.id, user_text=f"{n}.{m}", idempotency_key=key)
                )
            except InvalidStateError:
                break
        return turns

    tasks = [asyncio.ensure_future(write(n)) for n in range(WRITERS)]
    for _ in range(10):
        await asyncio.sleep(0.002 * chance.random())
        chance.choice(tasks).cancel()
    await other.sessions.end(session.id)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    stored = (await crowd.with_turns(session.id)).turns
    kept = {turn.id for result in results if isinstance(result, list) for turn in result}
    assert kept <= {turn.id for turn in stored}
    keys = [turn.idempotency_key for turn in stored if turn.idempotency_key]
    assert len(keys) == len(set(keys))
    assert all(isinstance(result, list | asyncio.CancelledError) for result in results)
    await assert_gapless(crowd, session.id, len(stored))


# One refused turn among others

REFUSE = """
ALTER TABLE conversation_turns DROP CONSTRAINT IF EXISTS ck_conversation_turns__shared;
ALTER TABLE conversation_turns
    ADD CONSTRAINT ck_conversation_turns__shared CHECK (user_text <> 'refused');
CREATE OR REPLACE FUNCTION refuse_a_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.user_text = 'raises' THEN RAISE EXCEPTION 'no'; END IF;
    RETURN new;
END $$;
CREATE OR REPLACE TRIGGER refuse_a_turn BEFORE INSERT ON conversation_turns
    FOR EACH ROW EXECUTE FUNCTION refuse_a_turn();
"""
"""Refusals by the database of turns that are valid."""

Calls = list[tuple[str, str | None]]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["fine", "fine too", "refused", "raises", ""]),
            st.sampled_from([None, "a", "b", "stored"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_each_gets_what_it_would_have_got_alone(digitwin_url: str, calls: Calls) -> None:
    asyncio.run(_compare(digitwin_url, [("fine", None), *calls]))


async def _compare(url: str, calls: Calls) -> None:
    raw, watch = await asyncpg.connect(url), await asyncpg.connect(url)
    await raw.execute(REFUSE)
    async with connect(url, migrate="skip", pool_min=0) as db:
        ada = await db.users.create(email=f"{uuid7()}@example.com", name="Ada")
        alone, together = await db.sessions.start(ada.id), await db.sessions.start(ada.id)
        for session in (alone, together):
            await db.sessions.add_turn(session.id, user_text="first", idempotency_key="stored")
        expected = [await _outcome(db, alone, *call) for call in calls]
        async with locked(raw, together) as release:
            queue = Queue(UntilWaiting(watch), release)
            await queue.begin(_outcome(db, together, *call) for call in calls)
            outcomes = await queue.outcomes()
        stored = [turn for turn in expected if turn[0] is ConversationTurn]
        for call, outcome, sequential in zip(calls, outcomes, expected, strict=True):
            # Of calls with the same new key, sent one by one, any may be the first.
            if call[1] in (None, "stored") or call[0] == "":
                assert outcome == sequential
            elif outcome[0] is ConversationTurn:
                assert outcome[2] == call[1]
                assert outcome[1] in {text for text, key in calls if key == call[1]}
            else:
                assert call[0] in ("refused", "raises")
        assert _keys(outcomes) == _keys(expected)
        await assert_gapless(db.sessions, together.id, 1 + len(stored) - _repeats(expected))
        ends = [await db.sessions.get(session.id) for session in (alone, together)]
        assert (ends[0].turn_count, ends[0].version) == (ends[1].turn_count, ends[1].version)
    await raw.close()
    await watch.close()


async def _outcome(
    db: Database, session: ConversationSession, text: str, key: str | None
) -> tuple[Any, ...]:
    try:
        turn = await db.sessions.add_turn(session.id, user_text=text, idempotency_key=key)
    except DigiTwinError as error:
        return type(error), error.message, error.details.get("field")
    return ConversationTurn, turn.user_text, turn.idempotency_key


def _keys(outcomes: list[Any]) -> set[str]:
    """The keys with which a turn was stored."""
    return {key for kind, _, key in outcomes if kind is ConversationTurn and key}


def _repeats(outcomes: list[Any]) -> int:
    """How many were given a turn that another one has stored."""
    keyed = Counter(key for kind, _, key in outcomes if kind is ConversationTurn and key)
    return sum(count if key == "stored" else count - 1 for key, count in keyed.items())
