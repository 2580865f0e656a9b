"""A turn of a recorder, as far as later calls need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from digitwin.conversations.living.writes import TurnWrite


@dataclass(slots=True, eq=False)
class Turn:
    """A turn of this recorder."""

    id: UUID
    participant_id: UUID | None
    started_at: datetime
    user_length: int = 0
    twin_length: int = 0
    heard_text: str | None = None
    is_interrupted: bool = False

    def ending(self, status: str, at: datetime, *, corrects: bool) -> TurnWrite:
        """Return how it ends; ``corrects``: it was ended before, and its status says how."""
        return TurnWrite(
            turn_id=self.id,
            status=status,
            corrects=corrects,
            heard_text=self.heard_text,
            ended_at=max(at, self.started_at),
        )
