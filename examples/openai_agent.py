"""An agent of OpenAI's SDK whose conversation is kept as turns, and goes on in a second run.

It needs no keys and no network: the model reads from a script.
"""

import asyncio

from agents import Agent, Runner, Usage, function_tool, set_tracing_disabled
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

import digitwin
from digitwin.integrations.openai_agents import AgentSession, UsageHooks

set_tracing_disabled(True)


@function_tool
def opening_hours(day: str) -> str:
    """Return when the shop is open."""
    return f"{day}: nine to five"


def script() -> ScriptedModel:
    used = Usage(requests=1, input_tokens=80, output_tokens=9, total_tokens=89)
    calls = [function_call("opening_hours", {"day": "Monday"}, call_id="call-1")]
    return ScriptedModel(
        [
            ModelStep(output=calls, response_id="response-1", usage=used),
            ModelStep(output=[assistant_message("From nine.")], response_id="response-2"),
            ModelStep(output=[assistant_message("At five.")], response_id="response-3"),
        ]
    )


async def main() -> None:
    async with digitwin.connect(migrate="auto") as db:
        owner = await db.users.create(email="owner@example.com", name="Owner")
        guest = digitwin.Participant(kind="guest", ref="web-81f3", name="Sam")
        model = script()
        agent = Agent(name="Twin", model=model, tools=[opening_hours])

        for question in ("When do you open on Monday?", "And when do you close?"):
            # A new object each time, as in a service with many processes
            session = AgentSession(db, user_id=owner.id, session_id="web-81f3", participant=guest)
            hooks = UsageHooks(session)
            result = await Runner.run(agent, question, session=session, hooks=hooks)
            print(question, "->", result.final_output)
        print("the model was told", len(model.calls[-1].input), "items")

        id = await session.digitwin_session()
        stored = await db.sessions.with_turns(id, items=True)
        for turn in stored.turns:
            print(turn.position, turn.status, [item.kind for item in turn.items])
        [spent] = await db.sessions.usage_totals(session_id=id, by=["session_id"])
        print("tokens read:", spent.input_tokens)

        # The user takes the last exchange back
        while (item := await session.pop_item())["role"] != "user":
            pass
        print("taken back:", item["content"])


asyncio.run(main())
