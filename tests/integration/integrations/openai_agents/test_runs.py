"""Runs of the SDK's own Runner, and the turns that they leave."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesCompactionSession,
    RunContextWrapper,
    Runner,
    RunState,
    SQLiteSession,
    Usage,
)
from agents.extensions.memory import EncryptedSession
from agents.models.fake_id import FAKE_RESPONSES_ID
from agents.retry import ModelRetrySettings
from agents.run_internal.session_persistence import rewind_session_items
from agents.testing import ModelStep, assistant_message, function_call
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from digitwin.database import Database
from digitwin.integrations.openai_agents import AgentSession, UsageHooks
from tests.integration.integrations.openai_agents.conftest import Open
from tests.integration.integrations.openai_agents.messages import answer, user
from tests.integration.integrations.openai_agents.scripts import (
    RAIN,
    Weather,
    calls,
    read,
    says,
    told,
    twin,
)

WITH_TOOL = ["message", "tool_call", "tool_result", "message"]
ASKED = ("completed", "Weather?", RAIN, WITH_TOOL)


def a_run() -> Any:
    """Return a run, as sessions are told of it."""
    return RunContextWrapper(context=None)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run_is_a_turn(
    digitwin_db: Database, session: AgentSession, streamed: bool
) -> None:
    agent = twin([calls(), says()], Weather())
    if streamed:
        result = Runner.run_streamed(agent, "Weather?", session=session)
        async for _ in result.stream_events():
            pass
    else:
        await Runner.run(agent, "Weather?", session=session)
    assert await told(digitwin_db, session) == [ASKED]


async def test_the_next_run_is_told_of_it(opened: Open) -> None:
    agent = twin([calls(), says(), says("Yes.")], Weather())
    await Runner.run(agent, "Weather?", session=opened())
    await Runner.run(agent, "Sure?", session=opened())
    assert read(agent) == ["user", "function_call", "function_call_output", "message", "user"]


async def test_words_beside_a_call_are_of_the_same_turn(
    digitwin_db: Database, session: AgentSession
) -> None:
    looking = [
        assistant_message("Let me look."),
        function_call("weather", {"city": "Ulm"}, call_id="c1"),
    ]
    agent = twin([ModelStep(output=looking), says()], Weather())
    await Runner.run(agent, "Weather?", session=session)
    [(status, _, said, kinds)] = await told(digitwin_db, session)
    assert (status, said) == ("completed", f"Let me look.\n{RAIN}")
    assert kinds == ["message", "message", "tool_call", "tool_result", "message"]


async def test_messages_that_follow_each_other_are_one_turn(
    digitwin_db: Database, session: AgentSession
) -> None:
    given: list[Any] = [user("Hello"), answer("Hi."), user("Listen:"), user("weather?")]
    await Runner.run(twin([says()]), given, session=session)
    assert await told(digitwin_db, session) == [
        ("completed", "Hello", "Hi.", ["message", "message"]),
        ("completed", "Listen:\nweather?", RAIN, ["message", "message", "message"]),
    ]


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("others", [False, True])
async def test_after_a_resume_no_tool_is_called_again(
    digitwin_db: Database, opened: Open, elsewhere: bool, others: bool
) -> None:
    weather = Weather(needs_approval=True)
    agent = twin([calls(), says()], weather)
    session = opened()
    stopped = await Runner.run(agent, "Weather?", session=session)
    assert weather.calls == 0
    if others:
        await Runner.run(twin([says("Hi.")]), "Hello", session=opened())
    state = stopped.to_state()
    if elsewhere:
        state = await RunState.from_string(agent, state.to_string())
        session = opened()
    for approval in state.get_interruptions():
        state.approve(approval)
    result = await Runner.run(agent, state, session=session)
    assert (result.final_output, weather.calls) == (RAIN, 1)
    hello = [("completed", "Hello", "Hi.", ["message", "message"])] if others else []
    assert await told(digitwin_db, session) == [ASKED, *hello]
    again = twin([says("Yes.")], weather)
    await Runner.run(again, "Sure?", session=opened())
    assert weather.calls == 1
    assert read(again).count("function_call_output") == 1


async def test_a_resume_stores_what_the_sdks_own_session_does(opened: Open) -> None:
    histories = []
    for session in (opened(), SQLiteSession("chat")):
        agent = twin([calls(), calls("c2"), says()], weather := Weather(needs_approval=True))
        result: Any = await Runner.run(agent, "Weather?", session=session)
        while result.interruptions:
            state = result.to_state()
            state.approve(result.interruptions[0])
            result = await Runner.run(agent, state, session=session)
        assert weather.calls == 2
        histories.append(await session.get_items())
    assert histories[0] == histories[1]


async def test_a_retry_leaves_one_turn(digitwin_db: Database, session: AgentSession) -> None:
    fails = ModelStep.raise_error(ConnectionError("away"))
    agent: Agent[Any] = twin([calls(), fails, fails, says()], weather := Weather())
    agent.model_settings = ModelSettings(
        retry=ModelRetrySettings(
            max_retries=3, backoff={"initial_delay": 0.0}, policy=lambda context: True
        )
    )
    await Runner.run(agent, "Weather?", session=session)
    assert await told(digitwin_db, session) == [ASKED]
    assert weather.calls == 1


@pytest.mark.parametrize("others", [False, True])
async def test_a_rewind_leaves_nothing_behind(
    digitwin_db: Database, opened: Open, others: bool
) -> None:
    """The SDK compares the end of the history, and takes its own items back."""
    session, run = opened(), a_run()
    await session.add_items([user("Before")])
    given: list[Any] = [user("Weather?"), user("Please.")]
    await session.add_items(given, wrapper=run)
    if others:
        await opened().add_items([user("Hello"), answer("Hi.")])
    await rewind_session_items(session, given, wrapper=run)
    hello = [user("Hello"), answer("Hi.")] if others else []
    assert await session.get_items() == [user("Before"), *hello]
    assert [row for row in await told(digitwin_db, session) if row[3]] == [
        ("open", "Before", None, ["message"]),
        *([("completed", "Hello", "Hi.", ["message", "message"])] if others else []),
    ]
    await session.add_items(given, wrapper=run)
    await session.add_items([answer(RAIN)], wrapper=run)
    assert (await told(digitwin_db, session))[-1] == (
        *("completed", "Weather?\nPlease.", RAIN),
        ["message", "message", "message"],
    )


@pytest.mark.parametrize("shared", [False, True])
async def test_two_runs_at_once_do_not_mix(
    digitwin_db: Database, opened: Open, shared: bool
) -> None:
    both = asyncio.Barrier(2)

    class Together(Weather):
        async def looks(self) -> None:
            await both.wait()

    one = opened()
    agents = [twin([calls(id), calls(f"{id}-2"), says(id)], Together()) for id in ("a", "b")]
    sessions = [one, one if shared else opened()]
    async with asyncio.timeout(30):
        await asyncio.gather(
            *(
                Runner.run(agent, f"{said}?", session=session)
                for said, agent, session in zip("ab", agents, sessions, strict=True)
            )
        )
    found = await told(digitwin_db, one)
    kinds = ["message", *["tool_call", "tool_result"] * 2, "message"]
    assert sorted(found) == [("completed", f"{id}?", id, kinds) for id in ("a", "b")]
    history: list[Any] = await one.get_items()
    ids = [item["call_id"][0] for item in history if "call_id" in item]
    assert ids in (list("aaaabbbb"), list("bbbbaaaa"))


async def test_each_request_is_paid_for_once(digitwin_db: Database, session: AgentSession) -> None:
    used = Usage(
        requests=1,
        input_tokens=100,
        output_tokens=20,
        input_tokens_details=InputTokensDetails(cached_tokens=60, cache_write_tokens=10),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=5),
    )
    steps = [calls(response_id="r1", usage=used), says(response_id="r2", usage=used)]
    agent, hooks = twin(steps, Weather()), UsageHooks(session)
    await Runner.run(agent, "Weather?", session=session, hooks=hooks)
    await session.add_usage(wrapper=a_run(), request_id="r2", counts={"input_tokens": 1})
    id = await session.digitwin_session()
    assert id is not None
    [spent] = await digitwin_db.sessions.usage_totals(session_id=id, by=["session_id"])
    assert (spent.input_tokens, spent.cached_input_tokens) == (60, 120)
    assert (spent.cache_write_tokens, spent.output_tokens, spent.reasoning_tokens) == (20, 30, 10)
    health = await digitwin_db.health()
    assert health.recorders is not None
    assert health.recorders.failed_callbacks == 0


async def test_an_id_that_is_none_does_not_count_once(
    digitwin_db: Database, session: AgentSession
) -> None:
    used = Usage(requests=1, input_tokens=7)
    steps = [fn(response_id=FAKE_RESPONSES_ID, usage=used) for fn in (calls, says)]
    agent = twin(steps, Weather())
    await Runner.run(agent, "Weather?", session=session, hooks=UsageHooks(session))
    id = await session.digitwin_session()
    assert id is not None
    [spent] = await digitwin_db.sessions.usage_totals(session_id=id, by=["session_id"])
    assert spent.input_tokens == 14


async def test_a_wrapper_that_encrypts_stores_no_words(digitwin_db: Database, opened: Open) -> None:
    run = twin([calls(), says(), says("Yes.")], Weather())
    for asked in ("Weather?", "Sure?"):
        session = EncryptedSession("chat", opened(), "k" * 40)
        await Runner.run(run, asked, session=session)
    assert read(run) == ["user", "function_call", "function_call_output", "message", "user"]
    assert {row[:3] for row in await told(digitwin_db, opened())} == {("open", None, None)}


async def test_a_compaction_replaces_the_conversation(digitwin_db: Database, opened: Open) -> None:
    """It clears the session, as its rollback expects, and adds what is left of it."""
    inner, summary = opened(), {"type": "compaction", "encrypted_content": "…"}
    client: Any = AsyncMock()
    client.responses.compact.return_value = SimpleNamespace(output=[summary], usage=None)
    session = OpenAIResponsesCompactionSession("chat", inner, client=client)
    await Runner.run(twin([calls(), says()], Weather()), "Weather?", session=session)
    old, history = await inner.digitwin_session(), await inner.get_items()
    await session.run_compaction({"force": True, "compaction_mode": "input"})
    assert await inner.get_items() == [summary]
    assert old is not None
    await inner.clear_session()
    await digitwin_db.sessions.restore(old)
    assert await opened().get_items() == history


async def test_the_conversation_is_one_of_chat_completions(
    digitwin_db: Database, session: AgentSession
) -> None:
    await Runner.run(twin([calls(), says()], Weather()), "Weather?", session=session)
    id = await session.digitwin_session()
    assert id is not None
    asked, called, result, said = await digitwin_db.sessions.to_openai(id)
    assert asked == user("Weather?")
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"city": "Ulm"}
    assert (result["tool_call_id"], result["content"]) == ("c1", "rain in Ulm")
    assert said == {"role": "assistant", "content": RAIN}
