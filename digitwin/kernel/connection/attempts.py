"""Whether a running operation has stored something; if not, it can be run again."""

from __future__ import annotations

from contextvars import ContextVar

_current: ContextVar[Attempt | None] = ContextVar("digitwin_attempt", default=None)


class Attempt:
    """One run of an operation; ``with`` makes it the one that :func:`storing` marks."""

    __slots__ = ("_token", "stored")

    def __init__(self) -> None:
        self.stored = False

    def __enter__(self) -> Attempt:
        self._token = _current.set(self)
        return self

    def __exit__(self, *exit: object) -> None:
        _current.reset(self._token)


def storing() -> None:
    """Note that a write may be committed from now on, called before it is sent."""
    attempt = _current.get()
    if attempt is not None:
        attempt.stored = True
