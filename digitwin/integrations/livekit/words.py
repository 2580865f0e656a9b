"""What was transcribed, and may never become a message."""

from __future__ import annotations

from collections import deque

MAX_LANGUAGE = 35
"""Characters of a language that a turn takes."""
MAX_WAITING = 1000
"""Transcripts that wait for their message."""


class Words:
    """Final transcripts that no message has contained yet.

    The framework drops what the participant said while a speech cannot be interrupted, or where
    the agent stops the response: a transcript comes, and no message.
    """

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self.language: str | None = None
        """Of the last transcript."""

    def transcribed(self, text: str, language: str | None) -> None:
        """Note a final transcript."""
        self.language = (language or "")[:MAX_LANGUAGE] or self.language
        if text.strip():
            self._waiting.append(" ".join(text.split()))

    def before(self, message: str) -> str:
        """Return what was said before the words of this message, and forget both.

        An agent may edit a message: nothing is known to be missing then.
        """
        said, words = " ".join(self._waiting), " ".join(message.split())
        self._waiting.clear()
        return said.removesuffix(words).strip() if said.endswith(words) else ""

    def left(self) -> str:
        """Return what became no message, and forget it."""
        return self.before("")
