"""What the requests of a run cost, stored with the turn."""

from __future__ import annotations

from typing import Any

from agents.agent import Agent
from agents.items import ModelResponse
from agents.lifecycle import RunHooks
from agents.models.fake_id import FAKE_RESPONSES_ID
from agents.run_context import RunContextWrapper
from agents.usage import Usage

from digitwin.conversations.content.fields import UsageFigures
from digitwin.conversations.transcripts.messages import short
from digitwin.integrations.openai_agents.session import AgentSession


class UsageHooks(RunHooks[Any]):
    """Stores the usage of each request: ``Runner.run(…, session=s, hooks=UsageHooks(s))``.

    The session is told items only. A failure to store usage does not fail the run: the first is
    logged, and ``health().recorders.failed_callbacks`` counts them.

    Args:
        session: that of the run.
    """

    def __init__(self, session: AgentSession) -> None:
        self._session = session

    async def on_llm_end(
        self, context: RunContextWrapper[Any], agent: Agent[Any], response: ModelResponse
    ) -> None:
        """Store what a request cost."""
        with self._session.guarding("on_llm_end"):
            id = response.response_id or response.request_id
            await self._session.add_usage(
                wrapper=context,
                model=_model(agent),
                request_id=None if id == FAKE_RESPONSES_ID else short(id),
                counts=figures(response.usage),
            )


def figures(usage: Usage) -> UsageFigures:
    """Return counts that do not overlap; the SDK's totals contain their details."""
    read, written = usage.input_tokens_details, usage.output_tokens_details
    cached, cache_write = read.cached_tokens, getattr(read, "cache_write_tokens", 0) or 0
    return {
        "input_tokens": max(0, usage.input_tokens - cached - cache_write),
        "cached_input_tokens": cached,
        "cache_write_tokens": cache_write,
        "output_tokens": max(0, usage.output_tokens - written.reasoning_tokens),
        "reasoning_tokens": written.reasoning_tokens,
    }


def _model(agent: Agent[Any]) -> str | None:
    """Return the agent's model; a run's own setting is not told."""
    model = agent.model
    return short(model if isinstance(model, str) else getattr(model, "model", None))
