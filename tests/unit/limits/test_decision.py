"""What an answer says, from what a bucket holds."""

from __future__ import annotations

from hypothesis import given, strategies as st

from digitwin.limits.buckets import decision
from digitwin.limits.decision import Ask, Decision, JointDecision
from digitwin.limits.fields import call

ASKS = (Ask("ada", "/chat", 10, 60), Ask("ada", "/chat", 100, 3600))
YES = Decision(True, 10, 4, 0.0, 36.0)
NO = Decision(False, 100, 0, 36.001, 3600.0)


@given(
    st.integers(1, 10**9),
    st.floats(0.001, 366 * 86_400),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_who_waits_as_told_finds_the_tokens(
    limit: int, window: float, held: float, wanted: float, behind: float
) -> None:
    cost = max(1, round(wanted * limit))
    asked = call("ada", "/chat", limit, window, cost)
    tokens = min(held * limit, cost * (1 - 1e-9))
    told = decision(asked, tokens, False, behind * window)
    waited = told.retry_after - behind * window
    assert tokens + waited * limit / asked.window >= cost * (1 - 1e-9)
    assert told.remaining <= tokens < told.remaining + 1


def test_a_decision_is_as_true_as_the_permit() -> None:
    assert YES
    assert not NO


def test_a_joint_one_is_true_when_all_are() -> None:
    assert JointDecision(ASKS, (YES, YES))
    joint = JointDecision(ASKS, (YES, NO))
    assert not joint
    assert not joint.allowed
    assert joint.refused == ASKS[1:]
    assert (joint.retry_after, joint.remaining, joint.degraded) == (36.001, 0, False)
    assert (list(joint), len(joint), joint[1]) == ([YES, NO], 2, NO)


def test_where_nothing_limits_all_is_allowed() -> None:
    joint = JointDecision((), ())
    assert joint
    assert (joint.allowed, joint.refused, joint.retry_after) == (True, (), 0)
    assert (joint.remaining, joint.degraded, len(joint)) == (None, False, 0)


def test_one_decided_without_the_database_is_told_apart() -> None:
    degraded = Decision(True, 10, 0, 0.0, 0.0, degraded=True)
    assert JointDecision(ASKS, (YES, degraded)).degraded
    assert not YES.degraded
