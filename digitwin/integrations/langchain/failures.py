"""Failures of a cache, which are kept from the call of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from digitwin.database import Database
from digitwin.errors import ClosedError, DigiTwinError, InvalidStateError


class Failures:
    """Counts them, here and in ``health().recorders.failed_callbacks``; the first is logged.

    Args:
        db: the handle.
        name: of the cache, for the log.
    """

    def __init__(self, db: Database, name: str) -> None:
        self._db: Final = db
        self._name: Final = name
        self._count = 0
        self._lock: Final = Lock()
        db.guarding(name)  # the handle's counts are made here, on its loop

    def __len__(self) -> int:
        return self._count

    def add(self, error: Exception) -> None:
        """Count a failure; only its kind is logged."""
        with self._lock:  # callers are in several threads
            self._count += 1
        with self._db.guarding(self._name):
            raise error

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
            self.add(error)

    @contextmanager
    def kept_if_closed(self) -> Iterator[None]:
        """Count that the handle or its loop has ended, and end the block without the error."""
        try:
            yield
        except ClosedError as error:
            self.add(error)
