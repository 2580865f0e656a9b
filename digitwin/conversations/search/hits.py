"""Hits of the search over what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from digitwin.kernel.search.headline import headline, marked_words

SaidBy = Literal["participant", "twin"]


@dataclass(frozen=True, slots=True)
class TurnHit:
    """A turn in which something was said that a search looks for.

    ``score`` is above 0, higher is better; scores of different searches are not comparable.
    ``headline`` is an excerpt with the matches between « and ». It is plain text: escape it before
    you put it into HTML. ``said_by`` tells whose words it shows: those of the participant
    (``participant_id``, None without one), or of the twin. ``at`` is when the turn began.
    """

    session_id: UUID
    turn_id: UUID
    position: int
    score: float
    headline: str = field(repr=False)
    said_by: SaidBy
    participant_id: UUID | None
    at: datetime


def turn_hit(record: Mapping[str, Any]) -> TurnHit:
    """Return the hit of a row; it shows the side that said more of what was looked for."""
    asked = marked_words(record["marked_user_text"] or "")
    answered = marked_words(record["marked_answer"] or "")
    by_twin = len(answered) > len(asked) or not record["user_text"]
    text, found = (record["answer"], answered) if by_twin else (record["user_text"], asked)
    return TurnHit(
        session_id=record["session_id"],
        turn_id=record["id"],
        position=record["position"],
        score=record["score"],
        headline=headline(text or "", found),
        said_by="twin" if by_twin else "participant",
        participant_id=record["participant_id"],
        at=record["at"],
    )
