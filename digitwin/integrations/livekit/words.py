"""What was transcribed, and may never become a message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

MAX_LANGUAGE = 35
"""Characters of a language that a turn takes."""
MAX_WAITING = 1000
"""Transcripts that wait for their message."""

MAX_SPEAKERS = 50
"""Speakers of a message."""


class Words:
    """Final transcripts that no message has contained yet.

    The framework drops what the participant said while a speech cannot be interrupted, or where
    the agent stops the response: a transcript comes, and no message. An agent may also edit a
    message in ``on_user_turn_completed``: what it leaves out is not restored.
    """

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self._shown: deque[str] = deque(maxlen=MAX_WAITING)
        """What the agent was shown, as it left it, and what was said before that."""
        self.language: str | None = None
        """Of the last transcript."""
        self._speakers: dict[str, None] = {}

    def transcribed(self, text: str, language: str | None, speaker: str | None) -> None:
        """Note a final transcript."""
        self.language = (language or "")[:MAX_LANGUAGE].rstrip() or self.language
        if speaker and len(self._speakers) < MAX_SPEAKERS:
            self._speakers[speaker] = None
        if text.strip():
            self._waiting.append(_plain(text))

    def speakers(self) -> list[str]:
        """Return who has spoken since this was asked last, as recognition names them."""
        speakers = list(self._speakers)
        self._speakers.clear()
        return speakers

    def show(self, message: str) -> Callable[[str], None]:
        """Note that the agent may edit this message; call what is returned with the outcome."""
        before = self._take(_plain(message))
        if before:
            self._shown.append(before)

        def left(edited: str) -> None:
            if edited.strip():
                self._shown.append(_plain(edited))

        return left

    def before(self, message: str) -> str:
        """Return what was said before the words of this message, and forget both."""
        words = _plain(message)
        shown = list(self._shown)
        if words in shown:
            place = shown.index(words)
            self._shown = deque(shown[place + 1 :], maxlen=MAX_WAITING)
            return " ".join(shown[:place])
        return self._take(words)

    def left(self) -> str:
        """Return what became no message, and forget it."""
        said = " ".join((*self._shown, *self._waiting))
        self._shown.clear()
        self._waiting.clear()
        return said

    def _take(self, words: str) -> str:
        """Forget the transcripts of these words and those before, which are returned.

        Words that are no sequence of transcripts were edited: nothing is known to be missing.
        """
        said = list(self._waiting)
        for first in range(len(said)):
            end = _end(said, first, words)
            if end is not None:
                self._waiting = deque(said[end:], maxlen=MAX_WAITING)
                return " ".join(said[:first])
        self._waiting.clear()
        return ""


def _end(said: list[str], first: int, words: str) -> int | None:
    """Return where the transcripts end of which these words consist, from the first one on.

    After the last of all there may be interim words, which the framework adds when it closes.
    """
    joined = ""
    for place in range(first, len(said)):
        joined = f"{joined} {said[place]}".lstrip()
        if joined == words:
            return place + 1
        if not words.startswith(f"{joined} "):
            return None
    return len(said)


def _plain(text: str) -> str:
    return " ".join(text.split())
