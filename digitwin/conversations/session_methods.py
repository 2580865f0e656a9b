"""What the methods of the session repository share."""

from __future__ import annotations

from typing import Any

from digitwin.conversations.models import ConversationSession
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.repository.entities import EntityRepository


class SessionMethods(EntityRepository[ConversationSession]):
    """The base of each group of methods."""

    def _session_key(self, session_id: object, user_id: object) -> dict[str, Any]:
        """Return the parameters that name a session: its id, and its owner if known.

        And how long after its end turns are stored.
        """
        return {
            "user_id": self._owner(user_id),
            "session_id": parse_id(session_id, "session_id"),
            "late_turns": self._core.settings.late_turns,
        }
