"""The archive: a file of JSON lines for each session that the retention removes.

The file is on the disk before the session's rows are removed. If the process dies in between, the
next run writes it again, in place of the first. It holds personal data, which an erasure does not
reach: all of a person is in one folder, named after their id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from digitwin.errors import ConfigurationError
from digitwin.kernel.primitives import private_file

SUFFIX: Final = ".jsonl"
_CHUNK: Final = 64 * 1024
"""Characters that are written at once, in a thread."""


class SessionExport(Protocol):
    """The method of the session repository that exports a session."""

    def __call__(self, session_id: UUID, *, user_id: UUID) -> AsyncGenerator[str, None]:
        """Yield the lines of a session, without line ends, as its rows are in this transaction."""


async def write(folder: Path, user_id: UUID, session_id: UUID, export: SessionExport) -> Path:
    """Store a session in ``folder``, durably; call it while the session is locked.

    Returns:
        The file.

    Raises:
        ConfigurationError: it cannot be written, so the session must not be removed.
    """
    path = folder / str(user_id) / f"{session_id}{SUFFIX}"
    lines = export(session_id, user_id=user_id)
    try:
        await asyncio.to_thread(_prepare, path)
        async with aclosing(lines), aclosing(_chunks(lines)) as chunks:
            await private_file.replace_streamed(path, chunks)
    except OSError as error:
        raise ConfigurationError(
            f"The archive of sessions cannot be written ({error.strerror})",
            field="session_archive",
        ) from error
    return path


def _prepare(path: Path) -> None:
    """Create the person's folder, and delete what processes that died left of this file."""
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in missing:
        private_file.sync_folder(folder.parent)
    private_file.remove_drafts(path.parent, path.name)


async def _chunks(lines: AsyncIterable[str]) -> AsyncGenerator[bytes, None]:
    gathered, size = [], 0
    async for line in lines:
        gathered += [line, "\n"]
        size += len(line)
        if size >= _CHUNK:
            yield "".join(gathered).encode()
            gathered, size = [], 0
    yield "".join(gathered).encode()
