"""Whether a running operation has stored something; if not, it can be run again."""

from __future__ import annotations

from contextvars import ContextVar


class Attempt:
    """One run of an operation; :func:`storing` marks the current one."""

    __slots__ = ("stored",)

    def __init__(self) -> None:
        self.stored = False


current: ContextVar[Attempt | None] = ContextVar("digitwin_attempt", default=None)


def storing() -> None:
    """Note that a write may be committed from now on, called before it is sent."""
    attempt = current.get()
    if attempt is not None:
        attempt.stored = True
