"""Export of everything held about a person or participant, as a streamed zip archive.

The format is documented in ``docs/export.md``. Increment ``VERSION`` when a field is removed or
its meaning changes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from digitwin.cache.codecs import VectorCodec
from digitwin.errors import InvalidStateError, KeyUnavailableError
from digitwin.kernel.primitives import private_file
from digitwin.kernel.repository.ports import EncryptedRow, FieldCipher
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.kernel.sql.tables import Table, View

if TYPE_CHECKING:  # else when an export is written
    from digitwin.privacy import html_index
    from digitwin.privacy.snapshot import Snapshot
    from digitwin.privacy.zip_stream import Archive

FORMAT: Final = "digitwin-export"
VERSION: Final = 1
PIECE: Final = 256 * 1024
"""Characters compressed at once, in a thread."""

_TYPES: Final[Mapping[str, str]] = {
    "uuid": "string (UUID)",
    "text": "string",
    "character varying": "string",
    "timestamp with time zone": "string (ISO 8601, UTC)",
    "json": "any",
    "jsonb": "any",
    "text[]": "array of string",
    "bytea": "array of number",
    "integer": "integer",
    "bigint": "integer",
    "double precision": "number",
    "boolean": "boolean",
}
QUERIES = Queries(__package__)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of the archive: the rows of one table."""

    table: Table
    view: View
    folder: str
    subject: Mapping[str, Any]
    """Values for the parameters of ``view.found_by``."""

    @property
    def name(self) -> str:
        """The path within the archive."""
        return f"{self.folder}/{self.table.name}.ndjson"

    @property
    def query(self) -> Query:
        """The query that returns each row as one JSON object."""
        return QUERIES.variant(
            "export",
            table=self.table.name,
            names=", ".join(self.view.columns),
            found_by=self.view.found_by,
            key=", ".join(self.table.data.key),
        )


class Export:
    """An archive that is created while it is read: iterate over its bytes, or write it to a file.

    Each iteration creates a new archive from one snapshot of the database, in constant memory,
    and holds a connection of the pool until it ends.
    """

    def __init__(self, chunks: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def write_to(self, path: str | Path) -> int:
        """Write the archive to a file that only its owner may read.

        The file appears complete or not at all, in place of one that exists.

        Returns:
            Its size in bytes.

        Raises:
            OSError: the file cannot be written.
        """
        async with aclosing(self._chunks()) as chunks:
            return await private_file.replace_streamed(Path(path), chunks)


@dataclass(slots=True)
class ExportWriter:
    """Writes one archive.

    Args:
        about: who the archive is about, for the manifest.
        files: the files to write, in order.
        sealer: decrypts encrypted columns; None if there are none.
    """

    about: Mapping[str, str | None]
    files: Sequence[ExportFile]
    cipher: FieldCipher | None
    unreadable: int = 0
    sections: list[html_index.Section] = field(default_factory=list)

    async def stream(self, on: Snapshot) -> AsyncGenerator[bytes, None]:
        """Yield the archive's bytes in chunks."""
        from digitwin.privacy import html_index
        from digitwin.privacy.snapshot import lines
        from digitwin.privacy.zip_stream import Archive

        moment: datetime = await on.fetchval(QUERIES["moment"])
        archive = Archive(moment)
        await _put(archive, "schema.json", _text(await self._schema(on)))
        for file in self.files:
            section = html_index.Section(file.view.title, file.name, file.view.columns)
            self.sections.append(section)
            archive.begin(file.name)
            batch = file.table.data.batch
            rows = lines(on, file.query, file.subject, batch=batch, size=PIECE)
            async with aclosing(rows):
                async for gathered in rows:
                    read = await self._readable(file.table, gathered)
                    section.add(read)
                    await asyncio.to_thread(archive.write, "\n".join(read) + "\n")
                    if taken := archive.take():
                        yield taken
        title = "Everything held about you"
        known = {name: value for name, value in self.about.items() if value is not None}
        facts = {**known, "As of": f"{moment:%Y-%m-%d %H:%M:%S} UTC"}
        await _put(archive, "index.html", html_index.render(title, facts, self.sections))
        await _put(archive, "manifest.json", _text(self._manifest(moment)))
        archive.close()
        yield archive.take()

    async def _readable(self, table: Table, gathered: list[str]) -> list[str]:
        if not table.encrypted and not table.data.vectors:
            return gathered
        return [_compact(await self._opened(table, json.loads(line))) for line in gathered]

    async def _opened(self, table: Table, row: dict[str, Any]) -> dict[str, Any]:
        for name in table.data.vectors:
            row[name] = VectorCodec().decode(bytes.fromhex(row[name].removeprefix("\\x")))
        encrypted = {name: row[name] for name in table.encrypted if row.get(name) is not None}
        if encrypted and self.cipher is not None:
            place = EncryptedRow(table.name, UUID(row["user_id"]), UUID(row["id"]))
            for name, value in encrypted.items():
                try:
                    row |= await self.cipher.decrypt(place, {name: value})
                except (KeyUnavailableError, InvalidStateError):
                    self.unreadable += 1
                    row[name] = None
                    row.setdefault("unreadable", []).append(name)
        return row

    async def _schema(self, on: Snapshot) -> dict[str, Any]:
        tables = sorted({file.table.name for file in self.files})
        rows = await on.fetch(QUERIES["types"], tables=tables)
        types = {(row["table_name"], row["name"]): row["type"] for row in rows}
        return {
            "format": FORMAT,
            "version": VERSION,
            "files": {
                file.name: {
                    "title": file.view.title,
                    "fields": {
                        name: {
                            "type": _TYPES[types[file.table.name, name]],
                            "meaning": meaning,
                        }
                        for name, meaning in file.view.columns.items()
                    },
                }
                for file in self.files
            },
        }

    def _manifest(self, moment: datetime) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "about": dict(self.about),
            "as_of": moment.isoformat(),
            "rows": {section.file: section.count for section in self.sections},
            "unreadable_values": self.unreadable,
        }


async def _put(archive: Archive, name: str, text: str) -> None:
    archive.begin(name)
    await asyncio.to_thread(archive.write, text)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _compact(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))
