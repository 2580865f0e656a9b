"""Finding documents by what they say."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.core import operation
from digitwin.kernel.primitives.validation import bounded, validate
from digitwin.kernel.repository.entities import SoftDeleteRepository
from digitwin.knowledge.fields import SEARCH, SEEN_BY, Audience
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.query import Query, parse
from digitwin.knowledge.results import SearchHit
from digitwin.knowledge.statements import statement

HEADLINE_FROM: Final = 100_000
"""Characters of a content that a headline is taken from: 4 ms for the largest, not seconds."""

_HEADLINE: Final = (
    "StartSel=«, StopSel=», MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=' … '"
)


class DocumentSearch(SoftDeleteRepository[KnowledgeDocument]):
    """Full-text search over one person's documents."""

    @operation
    async def search(
        self,
        query: str,
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        limit: int = 10,
    ) -> list[SearchHit]:
        """The documents that answer best, best first; a question in plain words will do.

        Words rank, none of them is needed, and rare ones tell more. ``"a phrase"`` must be
        there; ``or`` between two of them makes either do; ``-word`` and ``-"a phrase"`` must
        not be there. Words are compared by their English stem, without case.

        A document is found as soon as it is stored, whatever its status: the status is about
        what a worker makes of it. A phrase is found in the first 16,383 words of a document.

        Args:
            query: up to 4,000 characters, never a syntax error. Stop words alone find nothing.
            user_id: whose documents; may be left out under ``for_user``.
            audience: ``visitor`` is shown what is visible to visitors, and its scores are made
                from that alone.
            limit: how many hits, 1 to 1,000.

        Raises:
            InvalidInputError: a blank query, no ``user_id``, an unknown audience, a bad limit.
        """
        owner = self._require_owner(user_id)
        most = bounded(limit, "limit", at_least=1, at_most=1000)
        given = validate(SEARCH, {"query": query, "audience": audience})
        if not given["query"].strip():
            raise InvalidInputError("query must not be blank", field="query")
        return await self._search(owner, parse(given["query"]), SEEN_BY[given["audience"]], most)

    async def _search(
        self, owner: UUID, query: Query, visible: list[str], limit: int
    ) -> list[SearchHit]:
        required = [(text, n) for n, group in enumerate(query.required) for text in group]
        records = await self._core.db.fetch(
            *statement(
                "search",
                owner,
                query.wanted,
                [text for text, _ in required],
                [n for _, n in required],
                list(query.excluded),
                visible,
                limit,
                HEADLINE_FROM,
                _HEADLINE,
            )
        )
        return [SearchHit(self._row(hit), hit["score"], hit["headline"]) for hit in records]
