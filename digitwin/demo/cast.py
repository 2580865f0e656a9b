"""Who takes part in the demo, and what they say."""

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
PRIVATE: Final = "When is the lease for the second bakery signed?"

GUEST: Final = Participant(kind="guest", ref="web-81f3", name="Sam")


@dataclass(slots=True)
class Cast:
    """The people of one performance.

    What the guest's talk leaves is a session as any talk leaves one. What only serves the show
    belongs to an understudy, who is deleted for good at the end.
    """

    db: Database
    owner: User
    understudy: User
    session: ConversationSession
    guest: Participant = GUEST

    @property
    def subject(self) -> str:
        """The guest, as the limiter knows them."""
        return f"guest:{self.guest.ref}"
