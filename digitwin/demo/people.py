"""Participants of the demo and their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.models import ConversationSession, User

ENDPOINT: Final = "/api/conversations"
QUESTION: Final = "When is the bakery open on Saturday?"
ANSWER: Final = "From nine to six, and at nine the rye is still warm."
HEARD: Final = "From nine to six, and"
SAID: Final = (HEARD, " at nine", " the rye is still warm.")
"""The answer as the model streams it; Sam interrupts after the first piece was heard."""
PRIVATE: Final = "When is the lease for the second bakery signed?"

GUEST: Final = Participant(kind="guest", ref="web-81f3", name="Sam")


@dataclass(slots=True)
class People:
    """The participants of one run.

    The guest's conversation stays in the database. Data needed only by the demo belongs to
    ``scratch_user``, who is hard-deleted at the end.
    """

    db: Database
    owner: User
    scratch_user: User
    session: ConversationSession
    guest: Participant = GUEST

    @property
    def subject(self) -> str:
        """The guest's subject in the rate limiter."""
        return f"guest:{self.guest.ref}"
