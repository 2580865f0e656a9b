"""A zip file written forwards only: what is finished is handed on and forgotten."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import IO

ENTRY_MODE = 0o600 << 16


class _Sink(io.RawIOBase):
    """Takes what is written and gives it up in pieces; cannot go back."""

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
    """One file after the other; between two writes :meth:`take` gives what came of them.

    Everything here blocks for as long as compressing takes.

    Args:
        made: the time that every file in it carries.
    """

    def __init__(self, made: datetime) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)
        self._made = made
        self._file: IO[bytes] | None = None

    def begin(self, name: str) -> None:
        """Begin the next file."""
        self.finish()
        entry = zipfile.ZipInfo(name, self._made.timetuple()[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = ENTRY_MODE
        self._file = self._zip.open(entry, "w", force_zip64=True)

    def write(self, text: str) -> None:
        """Add to the file that was begun."""
        assert self._file is not None
        self._file.write(text.encode())

    def finish(self) -> None:
        """End the file that was begun, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """End the archive: only now can it be opened."""
        self.finish()
        self._zip.close()

    def take(self) -> bytes:
        """What was written since it was last taken."""
        return self._sink.take()
