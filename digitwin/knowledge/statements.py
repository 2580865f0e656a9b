"""The domain's tuned statements, made complete."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from digitwin.kernel.sql.audit_step import numbered as insert, parameters
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import load
from digitwin.knowledge.models import KnowledgeDocument

_SQL = load(__package__)


def statement(
    name: str, *args: Any, owner: UUID | None = None, verb: str | None = None
) -> tuple[Any, ...]:
    """A statement and its arguments; an owner, where known, is a condition and comes last.

    ``verb`` is what the audit trail calls it, where it changes something.
    """
    record = None if verb is None else (verb, len(args) + 1)
    given = args if verb is None else (*args, *parameters().values())
    if owner is None:
        return _compiled(name, "", record), *given
    return _compiled(name, f" AND user_id = ${len(given) + 1}", record), *given, owner


@cache
def _compiled(name: str, owner: str, record: tuple[str, int] | None) -> str:
    return _SQL[name].format(
        columns=columns(KnowledgeDocument),
        d_columns=columns(KnowledgeDocument, "d."),
        owner=owner,
        record=None if record is None else insert(KnowledgeDocument, *record),
    )
