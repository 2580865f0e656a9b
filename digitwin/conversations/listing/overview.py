"""What a list of conversations shows of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from digitwin.conversations.models import ConversationSession
from digitwin.conversations.participant import Kind

PREVIEW: Final = 500
"""Characters of a text that a list shows."""


@dataclass(frozen=True, slots=True)
class SessionOverview:
    """A session, who talks in it, and how its last turn reads.

    ``last_text`` is the end of what was said: the first 500 characters of the twin's answer as it
    was heard, else of what the participant said; ``last_by`` says which. Both are None if the
    last turn has no text. ``last_turn_at`` is when that turn ended, else when it began.
    """

    session: ConversationSession
    participant_kind: Kind | None
    participant_name: str | None = field(repr=False)
    last_text: str | None = field(repr=False)
    last_by: Literal["participant", "twin"] | None
    last_turn_at: datetime | None
    last_turn_status: str | None

    @classmethod
    def of(cls, session: ConversationSession, row: Mapping[str, Any]) -> SessionOverview:
        """Return the overview in a row of the statement ``overviews``."""
        answer, question = row["last_twin_text"], row["last_user_text"]
        by: Literal["participant", "twin"] | None = "twin"
        if answer is None:
            by = None if question is None else "participant"
        return cls(
            session,
            row["participant_kind"],
            row["participant_name"],
            question if answer is None else answer,
            by,
            row["last_turn_at"],
            row["last_turn_status"],
        )
