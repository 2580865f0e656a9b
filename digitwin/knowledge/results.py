"""What is said about documents: a hit of a search, and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from digitwin.knowledge.models import KnowledgeDocument

_STATUSES = ("pending", "processing", "ready", "failed")
_VISIBILITIES = ("owner", "visitors")


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document found.

    ``score`` is above 0, and higher for a better hit; it compares hits of one search, nothing
    else. ``headline`` is plain text from the content with the words found between « and »:
    escape it before it goes into a page, as the content itself.
    """

    document: KnowledgeDocument
    score: float
    headline: str


@dataclass(frozen=True, slots=True)
class DocumentStatistics:
    """The living documents, by number and by size; ``deleted`` counts those hidden.

    ``bytes`` is the size of titles and contents in UTF-8. Every status and visibility has its
    number, 0 included.
    """

    total: int
    by_status: dict[str, int]
    by_visibility: dict[str, int]
    bytes: int
    deleted: int

    @classmethod
    def of(cls, kinds: Iterable[Mapping[str, Any]]) -> Self:
        """Added up from the kinds of documents that the statement `statistics` counts."""
        statuses, visibilities = Counter[str](), Counter[str]()
        size = deleted = 0
        for kind in kinds:
            if not kind["alive"]:
                deleted += kind["documents"]
                continue
            statuses[kind["status"]] += kind["documents"]
            visibilities[kind["visibility"]] += kind["documents"]
            size += kind["bytes"]
        return cls(
            total=statuses.total(),
            by_status={status: statuses[status] for status in _STATUSES},
            by_visibility={visibility: visibilities[visibility] for visibility in _VISIBILITIES},
            bytes=size,
            deleted=deleted,
        )
