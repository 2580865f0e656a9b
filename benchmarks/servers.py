"""Servers of a run's own, gone after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from digitwin import cluster
from digitwin.testing.databases import fast_folder


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one server, in memory where there is room.

    A disk's time for a commit would drown what the layers above it cost, to everybody's
    favour but the fastest's.
    """
    with TemporaryDirectory(
        prefix="digitwin-bench-", dir=fast_folder(), ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


@contextmanager
def embedded() -> Iterator[str]:
    """The URL of a PostgreSQL 18 that comes along, over its unix socket."""
    with folder() as path:
        target = cluster.start(path / "data")
        try:
            yield target.url
        finally:
            cluster.stop(path / "data")
