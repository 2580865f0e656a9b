"""Histories of language models: stored as turns and items, and returned as they were.

The messages are as openai 3.57 types them and as langchain-core 1.8's ``messages_to_dict``
returned them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import ConversationSession, User
from tests.integration.conversations.transcripts.generated import texts

CALL = {"name": "opening_hours", "arguments": '{"day": "Saturday"}'}
CALLED = {"id": "c1", "type": "function", "function": CALL}
OPENAI: list[dict[str, Any]] = [
    {"role": "developer", "content": "You are Ada."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Good morning!"},
    {
        "role": "user",
        "name": "Sam",
        "content": [
            {"type": "text", "text": "Are you open then?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/calendar.png"}},
        ],
    },
    {"role": "assistant", "content": None, "tool_calls": [CALLED, {**CALLED, "id": "c2"}]},
    {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "closed"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "nine to six"},
    {"role": "assistant", "content": "From nine.", "refusal": None},
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "And the lease?"},
    {"role": "assistant", "refusal": "I cannot tell.", "content": None},
    {"role": "assistant", "content": "Anything else?"},
    {"role": "user", "content": "No."},
]
PLAIN = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
AI = {**PLAIN, "type": "ai", "tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
LANGCHAIN: list[dict[str, Any]] = [
    {"type": "system", "data": {**PLAIN, "type": "system", "content": "You are Ada."}},
    {"type": "human", "data": {**PLAIN, "type": "human", "content": "Hello!"}},
    {"type": "ai", "data": {**AI, "content": "Good morning!"}},
    {
        "type": "human",
        "data": {**PLAIN, "type": "human", "content": ["Open?", {"type": "text", "text": "Now?"}]},
    },
    {
        "type": "ai",
        "data": {
            **AI,
            "content": "",
            "id": "run-1",
            "response_metadata": {"model_name": "m-1", "model_provider": "example"},
            "tool_calls": [{"name": "hours", "args": {}, "id": "c1", "type": "tool_call"}],
            "usage_metadata": {
                "input_tokens": 100,
                "output_tokens": 20,
                "total_tokens": 120,
                "input_token_details": {"cache_read": 60, "cache_creation": 10, "audio": 5},
                "output_token_details": {"reasoning": 15},
            },
        },
    },
    {
        "type": "tool",
        "data": {
            **PLAIN,
            "type": "tool",
            "content": "no such day",
            "name": "hours",
            "tool_call_id": "c1",
            "artifact": None,
            "status": "error",
        },
    },
    {"type": "ai", "data": {**AI, "content": "I do not know.", "id": "run-2"}},
    {"type": "chat", "data": {**PLAIN, "type": "chat", "content": "Rude.", "role": "critic"}},
]


async def turns_of(db: Database, session_id: Any) -> list[tuple[str | None, str | None]]:
    session = await db.sessions.with_turns(session_id)
    return [(turn.user_text, turn.twin_text) for turn in session.turns]


async def items_of(db: Database, session_id: Any) -> list[dict[str, Any]]:
    from tests.integration.conversations.transcripts.conftest import exported
    from tests.integration.conversations.transcripts.generated import decoded

    lines = decoded(await exported(db, session_id))
    return [line for line in lines if line.get("type") in ("item", "usage")]


async def test_openais_messages_come_back_as_they_were(digitwin_db: Database, ada: User) -> None:
    me = digitwin_db.for_user(ada.id)
    done = await me.sessions.import_openai(OPENAI)
    assert await me.sessions.to_openai(done.session_id) == OPENAI
    assert await turns_of(digitwin_db, done.session_id) == [
        ("Hello!", "Good morning!"),
        ("Are you open then?", "From nine."),
        ("And the lease?", "I cannot tell."),
        (None, "Anything else?"),
        ("No.", None),
    ]


async def test_langchains_messages_come_back_as_they_were(digitwin_db: Database, ada: User) -> None:
    me = digitwin_db.for_user(ada.id)
    done = await me.sessions.import_langchain(LANGCHAIN)
    assert await me.sessions.to_langchain(done.session_id) == LANGCHAIN
    assert await turns_of(digitwin_db, done.session_id) == [
        ("Hello!", "Good morning!"),
        ("Open?\nNow?", "I do not know."),
        (None, None),
    ]


async def test_a_tool_is_called_as_if_it_was_recorded(digitwin_db: Database, ada: User) -> None:
    done = await digitwin_db.sessions.import_openai(OPENAI, user_id=ada.id)
    tools = [i for i in await items_of(digitwin_db, done.session_id) if "call_id" in i]
    kinds = [(i["kind"], i["call_id"], i.get("name")) for i in tools]
    assert kinds == [
        ("tool_call", "c1", "opening_hours"),
        ("tool_call", "c2", "opening_hours"),
        ("tool_result", "c2", None),
        ("tool_result", "c1", None),
    ]
    assert tools[0]["payload"]["arguments"] == {"day": "Saturday"}
    assert tools[3]["payload"]["result"] == "nine to six"


async def test_usage_is_stored_by_buckets(digitwin_db: Database, ada: User) -> None:
    done = await digitwin_db.sessions.import_langchain(LANGCHAIN, user_id=ada.id)
    found = [i for i in await items_of(digitwin_db, done.session_id) if i["type"] == "usage"]
    assert [_figures(usage) for usage in found] == [
        {
            "kind": "llm",
            "provider": "example",
            "model": "m-1",
            "request_id": "run-1",
            "input_tokens": 25,
            "cached_input_tokens": 60,
            "cache_write_tokens": 10,
            "audio_input_tokens": 5,
            "output_tokens": 5,
            "reasoning_tokens": 15,
        }
    ]


def _figures(usage: dict[str, Any]) -> dict[str, Any]:
    left_out = ("type", "id", "turn_id", "used_at", "created_at")
    return {name: value for name, value in usage.items() if name not in left_out}


async def test_one_format_is_given_to_a_model_of_the_other(
    digitwin_db: Database, ada: User
) -> None:
    me = digitwin_db.for_user(ada.id)
    done = await me.sessions.import_langchain(LANGCHAIN)
    assert await me.sessions.to_openai(done.session_id, limit=2) == [
        {"role": "system", "content": "You are Ada."},
        {"role": "user", "content": "Open?\nNow?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "hours", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "no such day"},
        {"role": "assistant", "content": "I do not know."},
    ]
    done = await me.sessions.import_openai(OPENAI)
    back = await me.sessions.to_langchain(done.session_id)
    assert [message["type"] for message in back] == [
        *("system", "human", "ai", "human", "ai", "tool", "tool", "ai"),
        *("system", "human", "ai", "ai", "human"),
    ]
    assert back[4]["data"]["tool_calls"][1] == {
        "name": "opening_hours",
        "args": {"day": "Saturday"},
        "id": "c2",
        "type": "tool_call",
    }
    assert back[5]["data"]["tool_call_id"] == "c2"


async def test_items_of_the_responses_api_become_messages(digitwin_db: Database, ada: User) -> None:
    call = {"type": "function_call", **CALL}
    said = {"type": "output_text", "text": "Closed.", "annotations": []}
    items = [
        {"role": "user", "content": "Open?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {**call, "call_id": "a"},
        {**call, "call_id": "b"},
        {"type": "function_call_output", "call_id": "b", "output": "closed"},
        {"type": "function_call_output", "call_id": "a", "output": "closed"},
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [said]},
    ]
    done = await digitwin_db.sessions.import_openai(items, user_id=ada.id)
    assert await turns_of(digitwin_db, done.session_id) == [("Open?", "Closed.")]
    messages = await digitwin_db.sessions.to_openai(done.session_id)
    assert [message["role"] for message in messages] == [
        *("user", "assistant", "tool", "tool", "assistant")
    ]
    assert [called["id"] for called in messages[1]["tool_calls"]] == ["a", "b"]


async def test_what_was_lived_is_told_as_it_was_heard(
    digitwin_db: Database, talk: ConversationSession
) -> None:
    """An answer that was cut off, and a tool that was called and never answered."""
    assert await digitwin_db.sessions.to_openai(talk.id) == [
        {"role": "user", "content": "When are you \u2028 open?\n"},
        {"role": "assistant", "content": "From nine."},
    ]


async def test_a_history_is_stored_once_with_its_participant(
    digitwin_db: Database, ada: User
) -> None:
    sam = Participant(kind="guest", ref="web-1", name="Sam")
    known: Any = {"external_id": "thread-1", "participant": sam, "metadata": {"app": "chat"}}
    me = digitwin_db.for_user(ada.id)
    first = await me.sessions.import_openai(OPENAI, **known)
    again = await me.sessions.import_openai(OPENAI, **known)
    assert (first.is_new, again.is_new, again.session_id) == (True, False, first.session_id)
    session = await me.sessions.get(first.session_id)
    assert (session.status, session.metadata) == ("active", {"app": "chat"})
    await session.fetch_related("participant")
    assert session.participant is not None
    assert session.participant.ref == "web-1"


async def test_a_long_text_is_kept_whole_in_its_item(digitwin_db: Database, ada: User) -> None:
    pasted = [{"role": "user", "content": "x" * 150_000}]
    done = await digitwin_db.sessions.import_openai(pasted, user_id=ada.id)
    assert await digitwin_db.sessions.to_openai(done.session_id) == pasted
    ((text, _),) = await turns_of(digitwin_db, done.session_id)
    assert text == "x" * 100_000


@pytest.mark.parametrize(
    "message",
    [
        None,
        "hello",
        {},
        {"role": "dog", "content": "Woof"},
        {"role": ["user"], "content": "x"},
        {"role": "user", "content": "\ud800"},
        {"role": "user", "content": "\0"},
        {"role": "user", "content": float("nan")},
        {"role": "user", "content": {"x": {1, 2}}},
        {"role": "user", "content": "x" * 1_100_000},
        {"type": 7},
        {"type": "human", "data": 7},
    ],
)
async def test_what_is_no_message_is_refused_by_its_place(
    digitwin_db: Database, ada: User, message: Any
) -> None:
    for read in (digitwin_db.sessions.import_openai, digitwin_db.sessions.import_langchain):
        with pytest.raises(InvalidInputError, match=r"messages\[0\]") as refused:
            await read([message], user_id=ada.id)
        assert refused.value.details["field"] == "messages"
    assert await digitwin_db.sessions.count() == 0


# No floats: jsonb writes those beyond 2^53 in decimal digits, which are another number
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.lists(texts)
_parts = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "file", "x"])}, optional={"text": values}
    )
    | texts,
    max_size=2,
)
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
        optional={
            "content": texts | st.none() | _parts,
            "name": values,
            "tool_call_id": values,
            "tool_calls": st.lists(
                st.fixed_dictionaries({"id": texts}, optional={"function": values}), max_size=2
            ),
            "refusal": values,
        },
    ),
    max_size=8,
)


@settings(
    max_examples=25,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(_messages)
def test_whatever_a_history_contains_comes_back(
    digitwin_url: str, messages: list[dict[str, Any]]
) -> None:
    asyncio.run(_comes_back(digitwin_url, messages))


async def _comes_back(url: str, messages: list[dict[str, Any]]) -> None:
    async with connect(url, migrate="skip", pool_min=0) as db:
        ada = await db.users.create(email="ada@example.com", name="Ada")
        try:
            done = await db.sessions.import_openai(messages, user_id=ada.id)
            assert await db.sessions.to_openai(done.session_id) == messages
            await db.sessions.to_langchain(done.session_id)
        finally:
            await db.users.hard_delete(ada.id)
