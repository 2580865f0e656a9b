"""Failures of a cache, which are kept from the call of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from digitwin.errors import ClosedError, DigiTwinError, InvalidStateError


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
        self._lock: Final = Lock()

    def __len__(self) -> int:
        with self._lock:
            return sum(self._counts.values())

    def add(self, kind: str) -> None:
        """Count a failure; ``kind`` is an error's code, or a word for what is wrong."""
        with self._lock:  # callers are in several threads
            count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count == 1:
            self._logger.error("langchain: the %s fails, models are asked: %s", self._what, kind)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Count an error of digitwin's, and end the block without it.

        Not a call from a wrong loop: it is a mistake of the program, and would always fail.
        """
        try:
            yield
        except InvalidStateError:
            raise
        except DigiTwinError as error:
            self.add(error.code)

    @contextmanager
    def kept_if_closed(self) -> Iterator[None]:
        """Count that the handle or its loop has ended, and end the block without the error."""
        try:
            yield
        except ClosedError as error:
            self.add(error.code)
