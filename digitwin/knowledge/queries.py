"""The domain's named queries."""

from __future__ import annotations

from uuid import UUID

from digitwin.kernel.sql.queries import Queries, Query

_THE_OWNER = " AND user_id = (SELECT user_id FROM knowledge_documents WHERE id = :id)"
"""Refuses an id that documents of two people have; only a distributed schema allows that."""

QUERIES = Queries(__package__, table="knowledge_documents")


def for_owner(name: str, user_id: UUID | None, **fills: str) -> Query:
    """Return a query on the documents of one owner, or of all if ``user_id`` is None.

    A single statement with ``:user_id IS NULL OR …`` would have no good generic plan.
    """
    owner = "" if user_id is None else " AND user_id = :user_id"
    return QUERIES.variant(name, owner=owner, **fills)


def for_document(name: str, user_id: UUID | None, **fills: str) -> Query:
    """Return a query on one document, of this owner, or of the one who owns it."""
    owner = _THE_OWNER if user_id is None else " AND user_id = :user_id"
    return QUERIES.variant(name, owner=owner, **fills)
