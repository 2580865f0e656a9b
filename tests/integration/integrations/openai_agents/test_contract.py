"""The session does what the SDK's own one does: the same calls, the same answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import SessionSettings, SQLiteSession
from agents.memory import Session
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.errors import InvalidInputError
from digitwin.integrations.openai_agents import AgentSession
from digitwin.kernel.primitives.ids import uuid7
from tests.integration.integrations.openai_agents.conftest import Open
from tests.integration.integrations.openai_agents.messages import (
    answer,
    call,
    reasoning,
    result,
    user,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
PARTS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "input_text", "text": text}, WORDS),
        st.just({"type": "input_image", "image_url": "https://example.com/a.png"}),
    ),
    max_size=3,
)
ITEMS = st.one_of(
    st.builds(user, WORDS | PARTS),
    st.builds(lambda texts: answer(*texts), st.lists(WORDS, max_size=2)),
    st.builds(call, st.sampled_from(["c1", "c2", ""]), arguments=WORDS),
    st.builds(result, st.sampled_from(["c1", "c2", "x" * 300]), WORDS),
    st.builds(reasoning, WORDS),
    st.builds(lambda text: {"role": "system", "content": text}, WORDS),
    st.dictionaries(
        WORDS,
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS | st.just(0.25),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
            max_leaves=4,
        ),
        max_size=3,
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(ITEMS, max_size=5)),
        st.tuples(st.just("get"), st.none() | st.integers(-1, 7)),
        st.tuples(st.just("pop"), st.integers(1, 4)),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("end"), st.none()),
        st.tuples(st.just("limit"), st.none() | st.integers(0, 3)),
    ),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_it_answers_as_the_sdks_own_session(digitwin_url: str, steps: list[Any]) -> None:
    asyncio.run(_follow(digitwin_url, steps))


async def _follow(url: str, steps: list[Any]) -> None:
    expected = SQLiteSession("chat")
    async with connect(url, migrate="skip") as db:
        owner = await db.users.create(email=f"{uuid7()}@example.com", name="Owner")
        ours, second = (AgentSession(db, user_id=owner.id, session_id="chat") for _ in range(2))
        for step, value in steps:
            if step == "add":
                await expected.add_items(value)
                await ours.add_items(value)
            elif step == "get":
                assert await ours.get_items(value) == await expected.get_items(value)
            elif step == "pop":
                for _ in range(value):
                    assert await ours.pop_item() == await expected.pop_item()
            elif step == "clear":
                await expected.clear_session()
                await ours.clear_session()
            elif step == "limit":
                ours.session_settings = expected.session_settings = SessionSettings(limit=value)
            else:
                await _end(db, await ours.digitwin_session())
        assert await second.get_items() == await expected.get_items(-1)
        await _check_turns(db, await ours.digitwin_session())
    expected.close()


async def _end(db: Any, id: Any) -> None:
    if id is not None and (await db.sessions.get(id)).status == "active":
        await db.sessions.end(id)


async def _check_turns(db: Any, id: Any) -> None:
    """No turn is without items, and positions have no gaps."""
    if id is None:
        return
    found = await db.sessions.with_turns(id, items=True)
    assert [turn.position for turn in found.turns] == list(range(1, found.turn_count + 1))
    assert all(turn.items for turn in found.turns)


def test_it_is_a_session(session: AgentSession) -> None:
    assert isinstance(session, Session)


async def test_settings_may_be_a_dict(opened: Open) -> None:
    session = opened(session_settings={"limit": 1})
    await session.add_items([user("a"), user("b")])
    assert await session.get_items() == [user("b")]


async def test_many_items_are_stored_at_once(session: AgentSession) -> None:
    many = [user("Hello"), *(result(f"c{n}") for n in range(2500)), answer("Done.")]
    await session.add_items(many)
    assert await session.get_items() == many


async def test_what_cannot_be_stored_is_replaced(session: AgentSession) -> None:
    await session.add_items([user("a\0b\ud800"), {"\0": ["\0"]}])  # type: ignore[list-item]
    assert await session.get_items() == [user("a\ufffdb\ufffd"), {"\ufffd": ["\ufffd"]}]


def deep(levels: int) -> Any:
    """Return a value that is nested."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


ENDLESS: list[Any] = ["\0"]
ENDLESS += [ENDLESS, ENDLESS]


@pytest.mark.parametrize(
    "item",
    [
        *(float("nan"), object(), {"a": "x" * 1_100_000}, {"a": 2**70}, {1: "a"}),
        *(deep(100), deep(100_000), ENDLESS),
    ],
    ids=range(8),
)
async def test_what_is_no_json_is_refused(session: AgentSession, item: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"items\[1\]"):
        await session.add_items([user("a"), item])
    assert await session.get_items() == []


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("user_id", {"user_id": "ada"}),
        ("session_id", {"session_id": ""}),
        ("session_id", {"session_id": None}),
        ("session_id", {"session_id": "x" * 201}),
        ("participant", {"participant": "Sam"}),
        ("metadata", {"metadata": {"a": object()}}),
    ],
)
async def test_arguments_are_checked_at_once(
    session: AgentSession, field: str, given: dict[str, Any]
) -> None:
    known = {"user_id": uuid7(), "session_id": "chat"}
    with pytest.raises(InvalidInputError) as caught:
        AgentSession(session._db, **{**known, **given})
    assert caught.value.details["field"] == field
