"""Agents whose models read from a script, and what is stored of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents import Agent, FunctionTool, function_tool
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

from digitwin.database import Database
from digitwin.integrations.openai_agents import AgentSession

RAIN = "It rains."


def says(text: str = RAIN, **more: Any) -> ModelStep:
    return ModelStep(output=[assistant_message(text)], **more)


def calls(id: str = "c1", **more: Any) -> ModelStep:
    return ModelStep(output=[function_call("weather", {"city": "Ulm"}, call_id=id)], **more)


class Weather:
    """A tool that counts its calls."""

    def __init__(self, *, needs_approval: bool = False) -> None:
        self.calls = 0

        async def weather(city: str) -> str:
            """Return the weather."""
            self.calls += 1
            await self.looks()
            return f"rain in {city}"

        self.tool: FunctionTool = function_tool(weather, needs_approval=needs_approval)

    async def looks(self) -> None:
        """What happens meanwhile."""


def twin(steps: Sequence[Any], weather: Weather | None = None) -> Agent[Any]:
    return Agent(name="Twin", model=ScriptedModel(steps), tools=[weather.tool] if weather else [])


def read(agent: Agent[Any]) -> list[Any]:
    """Return what the model was told by its last call."""
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert model.last_call is not None
    return [item.get("type", item.get("role")) for item in model.last_call.input]


async def told(db: Database, session: AgentSession) -> list[Any]:
    """Return status, texts and kinds of items of each turn."""
    id = await session.digitwin_session()
    if id is None:
        return []
    found = await db.sessions.with_turns(id, items=True)
    return [
        (turn.status, turn.user_text, turn.twin_text, [item.kind for item in turn.items])
        for turn in found.turns
    ]
