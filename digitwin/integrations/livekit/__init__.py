"""LiveKit Agents: a whole call is recorded by ``await attach(session, db, session_id)``."""

from __future__ import annotations

from digitwin.integrations.frameworks import require

require("livekit")

from digitwin.integrations.livekit.call import CallRecording, attach  # noqa: E402
from digitwin.integrations.livekit.recordings import RecordingStore  # noqa: E402

__all__ = ["CallRecording", "RecordingStore", "attach"]
