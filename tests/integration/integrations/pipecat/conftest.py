"""Imports the framework once, past the warnings that its own imports cause."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    warnings.filterwarnings("ignore", "`AudioContextTTSService` is", DeprecationWarning)
    import pipecat.services.llm_service
    import pipecat.services.stt_service
    import pipecat.services.tts_service  # noqa: F401
