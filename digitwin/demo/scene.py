"""A scene of the demo: timed calls, checked claims, and stored rows."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from digitwin.timing import timed

T = TypeVar("T")


class ClaimFailedError(AssertionError):
    """A claim of the demo does not hold."""


@dataclass(frozen=True, slots=True)
class TimedCall:
    """A call and its duration, including the database round trip."""

    name: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A verified claim and the calls that verified it."""

    claim: str
    calls: tuple[TimedCall, ...]

    @property
    def milliseconds(self) -> float:
        """Total duration of the calls."""
        return sum(call.milliseconds for call in self.calls)


@dataclass(slots=True)
class Scene:
    """One step of the demo."""

    title: str
    ticks: list[Tick] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    failure: str | None = None
    _calls: list[TimedCall] = field(default_factory=list)

    async def call(self, name: str, work: Awaitable[T]) -> T:
        """Await a call and record its duration."""
        result, seconds = await timed(work)
        self._calls.append(TimedCall(name, seconds * 1000))
        return result

    def tick(self, claim: str, holds: bool) -> None:
        """Add a claim, verified by the calls since the last one.

        Raises:
            ClaimFailedError: ``holds`` is false.
        """
        if not holds:
            raise ClaimFailedError(claim)
        self.ticks.append(Tick(claim, tuple(self._calls)))
        self._calls.clear()

    def store(self, what: str) -> None:
        """Describe what the scene stored."""
        self.stored.append(what)

    def as_dict(self) -> dict[str, Any]:
        """Return the scene for ``--json``."""
        return {
            "title": self.title,
            "ok": self.failure is None,
            "ticks": [asdict(tick) for tick in self.ticks],
            "stored": self.stored,
            "failure": self.failure,
        }
