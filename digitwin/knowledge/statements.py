"""The domain's tuned statements, made complete."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from digitwin.kernel.rows import columns
from digitwin.kernel.sql import load
from digitwin.knowledge.models import KnowledgeDocument

_SQL = load(__package__)


def statement(name: str, *args: Any, owner: UUID | None = None) -> tuple[Any, ...]:
    """A statement and its arguments; an owner, where known, is a condition and comes last."""
    if owner is None:
        return _compiled(name, ""), *args
    return _compiled(name, f" AND user_id = ${len(args) + 1}"), *args, owner


@cache
def _compiled(name: str, owner: str) -> str:
    return _SQL[name].format(
        columns=columns(KnowledgeDocument), d_columns=columns(KnowledgeDocument, "d."), owner=owner
    )
