"""OpenAI Agents SDK: conversations are kept as turns by ``AgentSession(db, user_id=…, …)``."""

from __future__ import annotations

from digitwin.integrations.frameworks import require

require("openai-agents")

from digitwin.integrations.openai_agents.session import AgentSession  # noqa: E402
from digitwin.integrations.openai_agents.usage import UsageHooks  # noqa: E402

__all__ = ["AgentSession", "UsageHooks"]
