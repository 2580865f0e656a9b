"""What an import has to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Called with how much more is done: bytes of a file, or files of a folder."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """What could not be taken, and why; ``line`` counts from 1."""

    source: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


def no_progress(amount: int) -> None:
    """Nobody is watching."""
