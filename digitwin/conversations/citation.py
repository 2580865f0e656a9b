"""What an answer used, as it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage of a document that a turn's answer used.

    Args:
        id: the source's id.
        turn_id: the turn whose answer used it.
        document_id: the document; None once it is deleted for good.
        title: the document's title now; None while it is deleted.
        passage: the place in the document.
        score: how well it fitted.
        quote: what was quoted; None while the document is deleted, and removed for good with it.
        visibility: who may see the document now: ``owner`` alone, so that a visitor must not be
            shown title and quote, or ``visitors``; None while it is deleted.
        document_deleted: whether the document is deleted; a restored one is shown again.
    """

    id: UUID
    turn_id: UUID
    document_id: UUID | None
    title: str | None = field(repr=False)
    passage: str | None = field(repr=False)
    score: float | None
    quote: str | None = field(repr=False)
    visibility: Literal["owner", "visitors"] | None
    document_deleted: bool

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the citation in the columns ``source_…`` of a record."""
        return cls(*(record[f"source_{name.name}"] for name in fields(cls)))
