"""LangChain and LangGraph, over digitwin.

Answers of models, vectors and bytes are kept in the cache; :class:`MemoryStore` is a person's
long-term memory.
"""

from __future__ import annotations

from digitwin.integrations.frameworks import require

require("langchain")

from digitwin.integrations.langchain.byte_store import ByteStore  # noqa: E402
from digitwin.integrations.langchain.cache import ResponseCache  # noqa: E402
from digitwin.integrations.langchain.embeddings import EmbeddingCache  # noqa: E402
from digitwin.integrations.langchain.memory import MemoryStore  # noqa: E402

__all__ = ["ByteStore", "EmbeddingCache", "MemoryStore", "ResponseCache"]
