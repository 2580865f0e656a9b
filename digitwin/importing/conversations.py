"""Import of conversations from a JSON lines file, as users, sessions and turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from digitwin.conversations.fields import NewTurn
from digitwin.conversations.participant import Participant
from digitwin.conversations.transcripts.chat import session_lines
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.importing.personas import owner_of
from digitwin.importing.records import Conversation, Record, paired, records
from digitwin.importing.reports import BadRecord, Progress, no_progress
from digitwin.importing.workers import for_each
from digitwin.kernel.primitives.validation import dumps


@dataclass(slots=True)
class ConversationImport:
    """Counts of an import, and the records it rejected."""

    conversations: int = 0
    utterances: int = 0
    turns: int = 0
    users: int = 0
    skipped: int = 0
    bad: list[BadRecord] = field(default_factory=list)


async def import_conversations(
    db: Database, path: Path, *, progress: Progress = no_progress
) -> ConversationImport:
    """Import the conversations of a JSON lines file that do not exist yet.

    A user with the ``twin_traits`` owns the session, and a guest with the ``user_traits``
    participates. The conversation's ``id`` becomes ``external_id``, by which later runs recognize
    it. Each conversation is stored atomically.

    Args:
        db: the handle.
        path: the file.
        progress: called with the size in bytes of each finished line.

    Returns:
        Counts and rejected lines.

    Raises:
        OSError: the file cannot be read.
    """
    importer = _ConversationImporter(db, path.name, progress)
    await for_each(records(path), importer.add, at_once=db.settings.pool_max - 1)
    importer.report.bad.sort(key=lambda bad: bad.line)
    return importer.report


class _ConversationImporter:
    def __init__(self, db: Database, source: str, progress: Progress) -> None:
        self.report = ConversationImport()
        self._db = db
        self._source = source
        self._progress = progress

    async def add(self, record: Record) -> None:
        try:
            await self._store(record.conversation())
        except InvalidInputError as error:
            self.report.bad.append(BadRecord(self._source, record.number, error.message))
        self._progress(record.size)

    async def _store(self, conversation: Conversation) -> None:
        owner, created = await owner_of(self._db, conversation["twin_traits"])
        self.report.users += created
        if await self._db.sessions.exists(user_id=owner.id, external_id=conversation["id"]):
            self.report.skipped += 1
            return
        turns = paired(conversation["turns"])
        lines = _lines(conversation, turns)
        (stored,) = await self._db.sessions.import_lines(lines, user_id=owner.id)
        if not stored.is_new:  # a concurrent import stored it
            self.report.skipped += 1
            return
        self.report.conversations += 1
        self.report.turns += len(turns)
        self.report.utterances += len(conversation["turns"])


def _lines(conversation: Conversation, turns: list[NewTurn]) -> Iterator[str]:
    """Yield a conversation as the lines of a transcript."""
    guest = Participant(kind="guest", traits=conversation["user_traits"])
    yield from session_lines(
        guest, external_id=conversation["id"], status="ended", end_reason="imported"
    )
    for turn in turns:
        yield dumps({"type": "turn", **turn})
    yield dumps({"type": "end", "turn": len(turns)})
