"""A zip archive that is streamed: finished bytes are handed on at once, nothing is rewound."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import IO

ENTRY_MODE = 0o600 << 16


class _Sink(io.RawIOBase):
    """A write-only, unseekable buffer that is drained by :meth:`take`."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class Archive:
    """Writes one file after another; :meth:`take` returns the bytes produced so far.

    All methods block while they compress: call them in a thread.

    Args:
        made: the modification time of every file.
    """

    def __init__(self, made: datetime) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)
        self._made = made
        self._file: IO[bytes] | None = None

    def begin(self, name: str) -> None:
        """Finish the current file and start the next one."""
        self.finish()
        entry = zipfile.ZipInfo(name, self._made.timetuple()[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = ENTRY_MODE
        self._file = self._zip.open(entry, "w", force_zip64=True)

    def write(self, text: str) -> None:
        """Append to the current file."""
        assert self._file is not None
        self._file.write(text.encode())

    def finish(self) -> None:
        """Finish the current file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Write the central directory; the archive cannot be opened before."""
        self.finish()
        self._zip.close()

    def take(self) -> bytes:
        """Return the bytes produced since the last call."""
        return self._sink.take()
