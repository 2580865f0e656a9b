"""Export of a conversation as JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from digitwin.conversations.models import ConversationSession
from digitwin.conversations.queries import KNOWN_OWNER, OWNER
from digitwin.conversations.transcripts.parts import FORMAT, MAJOR, MINOR, PARTS
from digitwin.kernel.execution.operations import streaming
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import Id, dumps
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.kernel.sql.queries import Queries

QUERIES: Final = Queries(
    __package__,
    table="conversation_sessions",
    owner=OWNER,
    **{name: part.line("s" if name == "session" else name) for name, part in PARTS.items()},
)
HEADER: Final = dumps({"format": FORMAT, "version": f"{MAJOR}.{MINOR}"})

BATCH: Final = 20
"""Lines fetched at once: each may contain three texts of a turn, or a megabyte of JSON."""


def end_line(counts: Counter[str]) -> str:
    """Return the last line of a conversation, which tells a whole one from one that was cut."""
    return dumps({"type": "end", **{name: counts[name] for name in PARTS if counts[name]}})


class TranscriptExport(EntityRepository[ConversationSession]):
    """The method of the session repository that exports a conversation."""

    @streaming
    async def export(
        self, session_id: Id, *, user_id: Id | None = None
    ) -> AsyncGenerator[str, None]:
        """Yield a conversation as JSON lines; in constant memory, from one snapshot.

        The first line names the format, the second is the session. Its participants, turns,
        items, usage, sources and the facts about its artifacts follow, each with its ``type``,
        and a line that counts them. Files can be joined. The format is documented in
        ``docs/transcripts.md``; :meth:`import_lines` reads it.

        Args:
            user_id: the session's owner, if known.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
        """
        owner, session = self._owner(user_id), parse_id(session_id, "session_id")
        query = QUERIES["export"]
        if owner is not None:
            query = QUERIES.variant("export", owner=KNOWN_OWNER)
        key = {"user_id": owner, "session_id": session}
        counts: Counter[str] = Counter()
        async with aclosing(self._core.db.stream(query, batch=BATCH, **key)) as rows:
            async for part, line in rows:
                if not counts:
                    yield HEADER
                counts[part] += 1
                yield line
        if not counts:
            raise self._missing(session)
        del counts["session"]
        yield end_line(counts)
