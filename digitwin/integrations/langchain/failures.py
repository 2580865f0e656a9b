"""Failures of a cache, which are kept from the call of the model."""

from __future__ import annotations

import logging
from typing import Final


class Failures:
    """Counts them, and logs the first of each kind.

    Args:
        logger: of the cache's module.
        what: which cache fails, for the log.
    """

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger: Final = logger
        self._what: Final = what
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, kind: str) -> None:
        """Count a failure; ``kind`` is an error's code, or a word for what is wrong."""
        if kind not in self._counts:
            self._logger.error("langchain: the %s fails, models are asked: %s", self._what, kind)
        self._counts[kind] = self._counts.get(kind, 0) + 1
