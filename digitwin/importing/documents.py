"""Import of text, Markdown and reStructuredText documents from a folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.importing.reports import BadRecord, Progress, no_progress
from digitwin.importing.titles import title_of
from digitwin.importing.workers import for_each
from digitwin.knowledge.fields import digest

CONTENT_TYPES = {".txt": "text/plain", ".md": "text/markdown", ".rst": "text/x-rst"}

MAX_BYTES = 40_000_000
"""Maximum size of a file: 10,000,000 characters of content in UTF-8."""


@dataclass(slots=True)
class DocumentImport:
    """Counts of an import, and the records it rejected."""

    documents: int = 0
    characters: int = 0
    skipped: int = 0
    bad: list[BadRecord] = field(default_factory=list)


def documents_in(folder: Path) -> list[Path]:
    """Return the supported files in the folder and its subfolders, except hidden ones."""
    return sorted(
        path for path in folder.rglob("*") if _is_document(path.relative_to(folder), path)
    )


def _is_document(place: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in place.parts)
    return path.suffix.lower() in CONTENT_TYPES and not hidden and path.is_file()


async def import_documents(
    db: Database, folder: Path, *, user_id: UUID, progress: Progress = no_progress
) -> DocumentImport:
    """Import the documents of a folder that the user does not have yet.

    Documents are recognized by their content, so that later runs skip them even after a rename.
    The title is taken from the document, else from the file name; ``source_uri`` is the path
    relative to the folder.

    Args:
        db: the handle.
        folder: searched recursively.
        user_id: the owner of the documents.
        progress: called with 1 for each finished file.

    Returns:
        Counts and rejected files.

    Raises:
        NotFoundError: the user does not exist.
    """
    await db.users.get(user_id)
    importer = _DocumentImporter(db, folder, user_id, progress)
    await for_each(documents_in(folder), importer.add, at_once=db.settings.pool_max - 1)
    importer.report.bad.sort(key=lambda bad: bad.source)
    return importer.report


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InvalidInputError(f"is larger than {MAX_BYTES:,} bytes", field="content")
    return path.read_bytes()


class _DocumentImporter:
    def __init__(self, db: Database, folder: Path, user_id: UUID, progress: Progress) -> None:
        self.report = DocumentImport()
        self._db = db
        self._folder = folder
        self._user_id = user_id
        self._progress = progress
        self._seen: set[str] = set()

    async def add(self, path: Path) -> None:
        source = path.relative_to(self._folder).as_posix()
        raw = b""
        try:
            raw = await asyncio.to_thread(_read, path)
            await self._store(path, source, raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            self._reject(source, raw, error.start, "is not valid UTF-8")
        except InvalidInputError as error:
            self._reject(source, raw, max(raw.find(b"\0"), 0), error.message)
        except OSError as error:
            self._reject(source, raw, 0, f"cannot be read: {error.strerror}")
        self._progress(1)

    def _reject(self, source: str, raw: bytes, offset: int, reason: str) -> None:
        line = raw.count(b"\n", 0, offset) + 1
        self.report.bad.append(BadRecord(source, line, reason))

    async def _store(self, path: Path, source: str, content: str) -> None:
        if not content.strip():
            raise InvalidInputError("the file is empty", field="content")
        if await self._has(content):
            self.report.skipped += 1
            return
        suffix = path.suffix.lower()
        await self._db.documents.create(
            user_id=self._user_id,
            title=title_of(content, suffix, path.stem.replace("_", " ")),
            content=content,
            content_type=CONTENT_TYPES[suffix],
            source_uri=source,
        )
        self.report.documents += 1
        self.report.characters += len(content)

    async def _has(self, content: str) -> bool:
        """Return whether the content exists, or was already seen in this run."""
        hash = digest(content)
        if hash in self._seen:
            return True
        self._seen.add(hash)
        return await self._db.documents.exists(user_id=self._user_id, content_hash=hash)
