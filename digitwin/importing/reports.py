"""Progress and rejected records of an import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Called with the amount finished since the last call: bytes of a file, or files."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A rejected record, with the reason; ``line`` starts at 1."""

    source: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


def no_progress(amount: int) -> None:
    """Ignore progress."""
