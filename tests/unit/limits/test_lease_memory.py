"""What one process remembers of a bucket: tokens it has, for a time, and refusals, for a time."""

from __future__ import annotations

from hypothesis import given, strategies as st

from digitwin.limits.buckets import TakeResult
from digitwin.limits.fields import LimitCall, call
from digitwin.limits.leases import LEASE_AGE, REFUSAL_AGE, _Lease

LIMIT, WINDOW = 1000, 3600


def asking(cost: int = 1, *, window: float = WINDOW) -> LimitCall:
    return call("ada", "/chat", LIMIT, window, cost)


def given_tokens(tokens: int, left: float = 0.0) -> TakeResult:
    return TakeResult(0, tokens, left, True, 0.0)


def refused(tokens: float, behind: float = 0.0) -> TakeResult:
    return TakeResult(0, 0, tokens, False, behind)


@given(st.integers(1, 50), st.lists(st.integers(1, 20), max_size=30))
def test_no_more_is_spent_than_was_taken(taken: int, costs: list[int]) -> None:
    lease = _Lease(asking())
    lease.refilled(asking(), given_tokens(taken), 0.0, 0.1)
    answers = [(cost, lease.decide(asking(cost), 1.0)) for cost in costs]
    spent = sum(cost for cost, answer in answers if answer)
    assert spent + lease.tokens == taken
    assert all(answer is None or answer.allowed for _, answer in answers)


def test_its_time_begins_when_it_was_asked_for() -> None:
    lease = _Lease(asking())
    lease.refilled(asking(), given_tokens(9), 10.0, 12.0)
    assert lease.decide(asking(), 10.0 + LEASE_AGE - 0.001)
    assert lease.decide(asking(), 10.0 + LEASE_AGE) is None
    assert lease.take_expired(10.0 + LEASE_AGE - 0.001) == 0
    assert lease.take_expired(10.0 + LEASE_AGE) == 8
    assert lease.take_expired(10.0 + LEASE_AGE) == 0


def test_a_short_window_is_a_short_time() -> None:
    short = asking(window=0.5)
    lease = _Lease(short)
    lease.refilled(short, given_tokens(9), 10.0, 10.0)
    assert lease.decide(short, 10.499)
    assert lease.decide(short, 10.5) is None


def test_tokens_that_join_others_are_no_younger_than_they() -> None:
    lease = _Lease(asking())
    lease.refilled(asking(), given_tokens(2), 0.0, 0.0)
    lease.refilled(asking(5), given_tokens(5), LEASE_AGE - 1, LEASE_AGE - 1)
    assert lease.decide(asking(5), LEASE_AGE - 0.5)
    assert lease.decide(asking(), LEASE_AGE) is None
    assert lease.take_expired(LEASE_AGE) == 2


def test_it_tells_what_the_bucket_and_the_lease_hold() -> None:
    lease = _Lease(asking())
    lease.refilled(asking(), given_tokens(10, left=89.5), 0.0, 0.0)
    answer = lease.decide(asking(4), 1.0)
    assert answer is not None
    assert answer.remaining == 95


@given(st.integers(1, 1000), st.floats(0, 0.999), st.floats(0, 5), st.floats(0, 10))
def test_a_refusal_is_never_remembered_for_longer_than_it_says(
    cost: int, part: float, behind: float, waited: float
) -> None:
    lease, sent, told_at = _Lease(asking()), 100.0, 100.01
    result = refused(part * cost, behind)
    lease.refilled(asking(cost), result, sent, told_at)
    told = result.decision(asking(cost)).retry_after
    answer = lease.decide(asking(cost), told_at + waited)
    if answer is None:
        assert told_at + waited > sent + min(told, REFUSAL_AGE) - 0.0011
    else:
        assert told_at + waited < sent + min(told, REFUSAL_AGE)
        assert not answer
        assert 0 < answer.retry_after <= told + 0.001


def test_a_refusal_counts_down() -> None:
    lease = _Lease(asking())
    lease.refilled(asking(), refused(0.0, behind=2.0), 0.0, 0.0)
    [first, later] = [lease.decide(asking(), at) for at in (0.0, 0.75)]
    assert first is not None
    assert later is not None
    assert round(first.retry_after - later.retry_after, 2) == 0.75


def test_who_asks_for_less_than_was_refused_is_not_refused_by_heart() -> None:
    lease = _Lease(asking())
    lease.refilled(asking(5), refused(3.5), 0.0, 0.0)
    assert lease.decide(asking(4), 0.5) is None
    assert lease.decide(asking(5), 0.5) is not None
    assert lease.decide(asking(6), 0.5) is not None


def test_what_is_held_counts_for_those_who_were_refused_the_rest() -> None:
    """Three are held and eight were wanted: the bucket had no five."""
    lease = _Lease(asking())
    lease.refilled(asking(), given_tokens(3), 0.0, 0.0)
    lease.refilled(asking(5), refused(1.0), 0.0, 0.0)
    assert lease.decide(asking(8), 0.5) is not None
    assert lease.decide(asking(7), 0.5) is None
    assert lease.decide(asking(3), 0.5)
    assert lease.decide(asking(5), 0.5) is not None
    assert lease.decide(asking(4), 0.5) is None


def test_it_is_done_with_when_it_says_nothing_any_more() -> None:
    lease = _Lease(asking())
    assert lease.idle(0.0)
    lease.refilled(asking(), given_tokens(3), 0.0, 0.0)
    assert not lease.idle(1.0)
    lease.take_expired(LEASE_AGE)
    assert lease.idle(LEASE_AGE)
    lease.refilled(asking(), refused(0.0), 10.0, 10.0)
    assert not lease.idle(10.0 + REFUSAL_AGE / 2)
    assert lease.idle(10.0 + REFUSAL_AGE)
