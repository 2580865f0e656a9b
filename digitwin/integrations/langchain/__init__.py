"""LangChain: answers of models are kept in the response cache, by :class:`ResponseCache`."""

from __future__ import annotations

from digitwin.integrations.frameworks import require

require("langchain")

from digitwin.integrations.langchain.cache import ResponseCache  # noqa: E402

__all__ = ["ResponseCache"]
