"""Search hits and statistics of documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from digitwin.knowledge.models import KnowledgeDocument

_STATUSES = ("pending", "processing", "ready", "failed")
_VISIBILITIES = ("owner", "visitors")


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document that matches a search.

    ``score`` is above 0, higher is better; scores of different searches are not comparable.
    ``headline`` is an excerpt of the content with the matches between « and ». It is plain text:
    escape it before you put it into HTML.
    """

    document: KnowledgeDocument
    score: float
    headline: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DocumentStatistics:
    """Counts and size of the documents; only ``deleted`` includes soft-deleted ones.

    ``bytes`` is the UTF-8 size of titles and contents. Every status and visibility has a count,
    also 0.
    """

    total: int
    by_status: dict[str, int]
    by_visibility: dict[str, int]
    bytes: int
    deleted: int

    @classmethod
    def from_records(cls, groups: Iterable[Mapping[str, Any]]) -> Self:
        """Return the totals of the rows of the statement ``statistics``."""
        statuses, visibilities = Counter[str](), Counter[str]()
        size = deleted = 0
        for group in groups:
            if not group["alive"]:
                deleted += group["documents"]
                continue
            statuses[group["status"]] += group["documents"]
            visibilities[group["visibility"]] += group["documents"]
            size += group["bytes"]
        return cls(
            total=statuses.total(),
            by_status={status: statuses[status] for status in _STATUSES},
            by_visibility={visibility: visibilities[visibility] for visibility in _VISIBILITIES},
            bytes=size,
            deleted=deleted,
        )
