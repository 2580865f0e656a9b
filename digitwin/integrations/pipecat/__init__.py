"""Pipecat: a whole call is recorded by the observer that ``await attach(pair, db, id)`` returns."""

from __future__ import annotations

from digitwin.integrations.frameworks import require

require("pipecat")

from digitwin.integrations.pipecat.call import CallRecording, attach  # noqa: E402

__all__ = ["CallRecording", "attach"]
