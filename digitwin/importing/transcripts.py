"""Import of transcripts and of models' histories from files, for one owner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import UUID

from digitwin.conversations.transcripts.importing import ImportedConversation
from digitwin.conversations.transcripts.lines import MAX_LINE, parsed
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, DigiTwinError, InvalidInputError
from digitwin.importing.records import Record, records
from digitwin.importing.reports import BadRecord, Progress, no_progress

History = Literal["openai", "langchain"]


@dataclass(slots=True)
class TranscriptImport:
    """Counts of an import, and the lines it rejected."""

    conversations: int = 0
    turns: int = 0
    skipped: int = 0
    bad: list[BadRecord] = field(default_factory=list)

    def add(self, done: ImportedConversation) -> None:
        """Count a conversation."""
        if done.is_new:
            self.conversations += 1
            self.turns += done.turns
        else:
            self.skipped += 1


def is_transcript(path: Path) -> bool:
    """Return whether a file's first line names the format of transcripts."""
    with path.open("rb") as file:
        try:
            line = parsed(file.readline(MAX_LINE))
        except InvalidInputError:
            return False
    return type(line) is dict and "format" in line


async def import_transcripts(
    db: Database, path: Path, *, user_id: UUID, progress: Progress = no_progress
) -> TranscriptImport:
    """Import what ``db.sessions.export`` wrote; conversations that exist are skipped.

    A conversation with an invalid line is left out, and the import goes on with the next one.

    Args:
        db: the handle.
        path: the file.
        user_id: whose conversations they become.
        progress: called with the size in bytes of each line that was read.

    Returns:
        Counts and rejected lines.

    Raises:
        OSError: the file cannot be read.
        NotFoundError: the user does not exist.
    """
    report = TranscriptImport()
    with path.open("rb") as file:
        reader = _Reader(file, progress)
        while reader.has_more():
            lines = reader.conversation()
            try:
                for done in await db.sessions.import_lines(lines, user_id=user_id):
                    report.add(done)
            except (InvalidInputError, AlreadyExistsError) as error:
                report.bad.append(_bad(error, path.name, reader.before))
                for _ in reader.conversation():  # up to its end
                    pass
    return report


def _bad(error: DigiTwinError, source: str, before: int) -> BadRecord:
    number = error.details.get("line", 1)
    return BadRecord(source, before + number, error.message.removeprefix(f"line {number}: "))


class _Reader:
    """Reads a file one conversation at a time, so that one can be refused without the others."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self.before = 0
        """How many lines of the file come before the conversation's first."""
        self._file = file
        self._progress = progress
        self._number = 0
        self._ahead = b""
        self._format = b""

    def has_more(self) -> bool:
        """Return whether another conversation follows."""
        while not self._ahead.strip():
            if not self._read():
                return False
        return True

    def conversation(self) -> Iterator[bytes]:
        """Yield the lines up to the next end of a conversation, the format first."""
        self.has_more()
        self.before = self._number - 1
        if self._format:
            self.before -= 1
            yield self._format
        else:
            self._format = self._ahead
        while self._ahead or self._read():
            line, self._ahead = self._ahead, b""
            yield line
            if _ends(line):
                return

    def _read(self) -> bool:
        self._ahead = self._file.readline(MAX_LINE + 1)
        if self._ahead:
            self._number += 1
            self._progress(len(self._ahead))
        return bool(self._ahead)


def _ends(line: bytes) -> bool:
    """Return whether a line ends a conversation; most need not be parsed to see that."""
    if b'"end"' not in line:
        return False
    try:
        found = parsed(line)
    except InvalidInputError:
        return False
    return type(found) is dict and found.get("type") == "end"


async def import_histories(
    db: Database,
    path: Path,
    *,
    user_id: UUID,
    format: History,
    progress: Progress = no_progress,
) -> TranscriptImport:
    """Import histories of a language model from a JSON lines file, as conversations that ended.

    Each line is ``{"messages": […]}``, as in OpenAI's files for fine-tuning, or the list alone.
    An ``id`` beside the messages becomes the ``external_id``, by which later runs skip it.

    Args:
        db: the handle.
        path: the file.
        user_id: whose conversations they become.
        format: of the messages.
        progress: called with the size in bytes of each finished line.

    Returns:
        Counts and rejected lines.

    Raises:
        OSError: the file cannot be read.
        NotFoundError: the user does not exist.
    """
    report = TranscriptImport()
    for record in records(path):
        try:
            report.add(await _import_history(db, record, user_id, format))
        except (InvalidInputError, AlreadyExistsError) as error:
            report.bad.append(BadRecord(path.name, record.number, error.message))
        progress(record.size)
    return report


async def _import_history(
    db: Database, record: Record, user_id: UUID, format: History
) -> ImportedConversation:
    line = record.parsed()
    given = line if type(line) is dict else {"messages": line}
    read = getattr(db.sessions, f"import_{format}")
    messages, external_id = given.get("messages"), given.get("id")
    async with db.transaction():
        done: ImportedConversation = await read(messages, user_id=user_id, external_id=external_id)
        if done.is_new:
            await db.sessions.end(done.session_id, user_id=user_id, reason="imported")
    return done
