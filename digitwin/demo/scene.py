"""A scene of the demo: the calls it makes, the claims it has checked, what it stored."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from digitwin.timing import timed

T = TypeVar("T")


class ClaimFailedError(AssertionError):
    """Something the demo was about to claim is not so."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the library and how long it took, the round trip to the database included."""

    name: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A claim that held, and the calls that showed it."""

    claim: str
    calls: tuple[Call, ...]

    @property
    def milliseconds(self) -> float:
        """What the calls took together."""
        return sum(call.milliseconds for call in self.calls)


@dataclass(slots=True)
class Scene:
    """One step: what it calls, claims and stores."""

    title: str
    ticks: list[Tick] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    failure: str | None = None
    _calls: list[Call] = field(default_factory=list)

    async def call(self, name: str, work: Awaitable[T]) -> T:
        """Await a call and remember how long it took."""
        result, seconds = await timed(work)
        self._calls.append(Call(name, seconds * 1000))
        return result

    def tick(self, claim: str, holds: bool) -> None:
        """State what the calls since the last tick have shown.

        Raises:
            ClaimFailedError: it does not hold.
        """
        if not holds:
            raise ClaimFailedError(claim)
        self.ticks.append(Tick(claim, tuple(self._calls)))
        self._calls.clear()

    def store(self, what: str) -> None:
        """Say what is in the database now that was not before."""
        self.stored.append(what)

    def as_dict(self) -> dict[str, Any]:
        """The scene for ``--json``."""
        return {
            "title": self.title,
            "ok": self.failure is None,
            "ticks": [asdict(tick) for tick in self.ticks],
            "stored": self.stored,
            "failure": self.failure,
        }
