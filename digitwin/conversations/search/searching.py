"""Full-text search over what was said to a twin, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from digitwin.conversations.models import ConversationSession
from digitwin.conversations.search.fields import SEARCH, Audience, Order
from digitwin.conversations.search.hits import TurnHit, turn_hit
from digitwin.conversations.search.queries import QUERIES, WIDTHS, searching
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import PERIOD, Id, bounded, validate
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.kernel.search.query import parse
from digitwin.kernel.search.question import Conditions, Question, ask, conditions
from digitwin.kernel.search.words import DEFAULT

ROWS: Final = 100
"""Rows of the index that are read turn by turn, at least; four times the limit if that is more."""
ROWS_IN_ORDER: Final = 20_000
"""The same for phrases: these are compared with the turns, newest first, until enough are found."""

Lexemes = dict[str, list[tuple[str, int]]]


class TurnSearch(EntityRepository[ConversationSession]):
    """The search of the session repository."""

    @operation
    async def search(
        self,
        query: str,
        *,
        user_id: Id | None = None,
        audience: Audience = "owner",
        participant_id: Id | None = None,
        session_id: Id | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = "relevance",
        limit: int = 10,
    ) -> list[TurnHit]:
        """Return the turns in which something was said, by words in plain language.

        A ``"quoted phrase"`` is required, ``or`` requires one of two phrases, ``-word`` and
        ``-"a phrase"`` are excluded. By relevance no other word is required: a turn scores by the
        words it has, rare ones more, and of equal turns the newest comes first. Words are compared
        by the stem of the turn's ``language``, English if it has none, ignoring case and accents.
        Of an interrupted answer what was heard counts. A turn is found as soon as it is stored.
        Phrases are found in a turn's first 16,383 words, and in the first 255 uses of a word.

        Args:
            query: up to 4,000 characters; no text is a syntax error. Of more than 32 words the
                longest count.
            user_id: the twin's owner; may be left out under ``for_user``.
            audience: ``visitor`` requires ``participant_id``, so that no visitor is shown what
                others said; scores depend on these sessions alone.
            participant_id: only sessions with this participant.
            session_id: only this session.
            since: only turns that began at this moment or later.
            until: only turns that began before this moment.
            order: ``newest`` requires every word, and returns the newest turns first.
            limit: maximum number of hits, 1 to 1,000.

        Returns:
            The hits; none for a query of stop words.

        Raises:
            InvalidInputError: names the argument that is missing or invalid; a blank query is, and
                one with more than 32 phrases or exclusions.
            NotFoundError: ``user_id`` is not the scope's.
        """
        owner = self._require_owner(user_id)
        size = bounded(limit, "limit", at_least=1, at_most=1000)
        given = validate(SEARCH, {"query": query, "audience": audience, "order": order})
        if not given["query"].strip():
            raise InvalidInputError("query must not be blank", field="query")
        if given["audience"] == "visitor" and participant_id is None:
            raise InvalidInputError(
                "a visitor's search needs participant_id", field="participant_id"
            )
        period = validate(PERIOD, {"since": since, "until": until})
        filters = {
            "participant_id": _id(participant_id, "participant_id"),
            "session_id": _id(session_id, "session_id"),
            **period,
        }
        newest = given["order"] == "newest"
        question = ask(parse(given["query"]), every_word=newest)
        return await self._search(owner, question, filters, newest, size)

    async def _search(
        self, owner: UUID, question: Question, filters: Mapping[str, Any], newest: bool, limit: int
    ) -> list[TurnHit]:
        asked = await self._asked(owner, question)
        if not asked:
            return []
        in_order = newest or any(one.required for one in asked.values())
        width = next(width for width in WIDTHS if width >= len(question.terms))
        query = searching(
            width,
            by_participant=filters["participant_id"] is not None,
            by_session=filters["session_id"] is not None,
            in_order=in_order,
            newest=newest,
        )
        records = await self._core.db.fetch(
            query,
            user_id=owner,
            **filters,
            **_columns(asked, width),
            rows=ROWS_IN_ORDER if in_order else max(ROWS, 4 * limit),
            pool=4 * limit + 100 if in_order else limit + 50,
            limit=limit,
        )
        return [turn_hit(record) for record in records]

    async def _asked(self, owner: UUID, question: Question) -> dict[str, Conditions]:
        """Return the question's conditions, for each language or mixture that a row may be of."""
        if not question.texts:
            return {}
        spoken = {DEFAULT}
        for record in await self._core.db.fetch(QUERIES["languages"], user_id=owner):
            spoken |= {record["language"], *record["language"].split()}
        names = sorted({name for mixture in spoken for name in mixture.split()})
        lexemes: dict[str, Lexemes] = {
            name: {text: [] for text in question.texts} for name in names
        }
        for name, text, lexeme, positions in await self._core.db.fetch(
            QUERIES["lexemes"], configurations=names, texts=question.texts
        ):
            lexemes[name][text] += [(lexeme, position) for position in positions]
        asked = {
            mixture: conditions(question, [lexemes[name] for name in mixture.split()])
            for mixture in sorted(spoken)
        }
        return {mixture: one for mixture, one in asked.items() if one.terms}


def _columns(asked: Mapping[str, Conditions], width: int) -> dict[str, list[str | None]]:
    """Return the statement's columns: a row for each language."""
    rows = list(asked.values())
    columns: dict[str, list[str | None]] = {
        "languages": list(asked),
        "in_row": [row.required or row.any_together for row in rows],
        "in_turn": [row.present or row.any_present for row in rows],
        "whole": [row.whole for row in rows],
        "exact": [row.exact for row in rows],
        "marked": [row.any_lexeme for row in rows],
        "lexemes": [" ".join(sorted(row.lexemes)) for row in rows],
        "pairs": [",".join(map(" ".join, sorted(row.pairs))) or None for row in rows],
    }
    for n in range(width):
        words = [row.terms.get(n) for row in rows]
        columns[f"together{n}"] = [word and word.together for word in words]
        columns[f"present{n}"] = [word and word.present for word in words]
    return columns


def _id(value: Id | None, field: str) -> UUID | None:
    return None if value is None else parse_id(value, field)
