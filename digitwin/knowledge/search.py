"""Full-text search over documents."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.validation import bounded, validate
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.kernel.search.query import SearchQuery, parse
from digitwin.knowledge.fields import SEARCH, VISIBLE_TO, Audience
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.knowledge.queries import QUERIES
from digitwin.knowledge.results import SearchHit

HEADLINE_FROM: Final = 100_000
"""Leading characters of the content that a headline is made from; bounds its time to 4 ms."""

_HEADLINE_OPTIONS: Final = (
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
        """Return the documents that best match a question in plain words.

        Words rank and none is required; rare words weigh more. A ``"quoted phrase"`` is
        required, ``or`` requires one of two phrases, ``-word`` and ``-"a phrase"`` are excluded.
        Words are compared by their English stem, ignoring case. Phrases are found in the first
        16,383 words of a document. A document is found as soon as it is stored, whatever its
        ``status``.

        Args:
            query: up to 4,000 characters; no text is a syntax error.
            user_id: the owner of the documents; may be left out under ``for_user``.
            audience: ``visitor`` searches only documents that are visible to visitors; their
                scores depend on these alone.
            limit: maximum number of hits, 1 to 1,000.

        Returns:
            The hits, best first; none for a query of stop words.

        Raises:
            InvalidInputError: names the argument that is missing or invalid; a blank query is.
            NotFoundError: ``user_id`` is not the scope's.
        """
        owner = self._require_owner(user_id)
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        given = validate(SEARCH, {"query": query, "audience": audience})
        if not given["query"].strip():
            raise InvalidInputError("query must not be blank", field="query")
        return await self._search(owner, parse(given["query"]), given["audience"], size)

    async def _search(
        self, owner: UUID, query: SearchQuery, audience: Audience, limit: int
    ) -> list[SearchHit]:
        required = [(text, n) for n, group in enumerate(query.required) for text in group]
        records = await self._core.db.fetch(
            QUERIES["search"],
            user_id=owner,
            words=query.words,
            required=[text for text, _ in required],
            required_group=[n for _, n in required],
            excluded=list(query.excluded),
            visibilities=VISIBLE_TO[audience],
            limit=limit,
            headline_from=HEADLINE_FROM,
            headline_options=_HEADLINE_OPTIONS,
        )
        return [SearchHit(self._row(hit), hit["score"], hit["headline"]) for hit in records]
