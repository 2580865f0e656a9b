"""The framework's recording of a call becomes an artifact of the session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from livekit.agents import AgentSession, JobContext
from livekit.agents.voice.report import SessionReport

from digitwin.conversations.artifacts.fields import NewArtifact
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.handle.scopes import ServiceScope, UserScope
from digitwin.kernel.primitives.ids import uuid7

Handle = Database | UserScope | ServiceScope

PAUSES: Final = (0.2, 1.0, 5.0, 15.0, 30.0)
"""Seconds between attempts while the database is away."""

T = TypeVar("T")


class RecordingStore(Protocol):
    """Where recordings are kept. The framework deletes its own file with the job."""

    async def keep(self, path: Path) -> str:
        """Copy the file; return the copy's address."""

    async def discard(self, address: str) -> None:
        """Delete a copy that digitwin did not take, such as one without consent."""


class Recording:
    """The recording of one call.

    Args:
        store: where it is kept.
        job: the job that records.
    """

    def __init__(self, store: RecordingStore, job: JobContext) -> None:
        self._store = store
        self._job = job

    async def add(self, db: Handle, session_id: UUID, session: AgentSession[Any]) -> None:
        """Keep the recording and note its address, if there is one, and the owner's consent.

        Raises:
            DigiTwinError: it was not noted. The copy is discarded, unless the database was away.
        """
        report = self._job.make_session_report(session)
        path = report.audio_recording_path
        if path is None or not path.is_file():
            return
        sessions, consents = db.sessions, db.consents
        owner = (await _tried(lambda: sessions.get(session_id))).user_id
        if await _tried(lambda: consents.in_force(owner, purpose="recording")) is None:
            return
        address = await self._store.keep(path)
        artifact = _described(report, path, address)
        id = uuid7()
        try:
            await _tried(lambda: sessions.add_artifact(session_id, id=id, **artifact))
        except DigiTwinError as error:
            if not error.retryable:  # else it may be noted, though no reply said so
                await self._store.discard(address)
            raise


def _described(report: SessionReport, path: Path, address: str) -> NewArtifact:
    artifact: NewArtifact = {
        "kind": "recording",
        "artifact_uri": address,
        "content_type": "audio/ogg",
        "size_bytes": path.stat().st_size,
    }
    if report.duration is not None:
        artifact["duration_ms"] = round(report.duration * 1000)
    if report.audio_recording_started_at is not None:
        artifact["started_at"] = datetime.fromtimestamp(report.audio_recording_started_at, UTC)
    return artifact


async def _tried(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call returns; it is tried again while the database is away."""
    for pause in PAUSES:
        try:
            return await call()
        except DigiTwinError as error:
            if not error.retryable:
                raise
        await asyncio.sleep(pause)
    return await call()
