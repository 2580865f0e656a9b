"""Rewraps every key with the current master key; a key that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from digitwin.errors import KeyUnavailableError
from digitwin.keys.ports import KeyStore, StoredKey


@dataclass(frozen=True, slots=True)
class RotationReport:
    """The result of ``rotate``."""

    rewrapped: int = 0
    """Keys that are now wrapped with the current master key."""
    current: int = 0
    """Keys that already were."""


async def rewrap_all(
    store: KeyStore, key_id: str, rewrap: Callable[[StoredKey], Awaitable[bool]], batch: int
) -> tuple[RotationReport, list[KeyUnavailableError]]:
    """Rewrap each key that has another master key, page by page.

    Ends at the first page of several keys that all fail: then not a key is at fault, but the key
    service or the settings.

    Returns:
        What was done, and the errors of the keys that could not be unwrapped.
    """
    rewrapped = current = 0
    failures: list[KeyUnavailableError] = []
    after: UUID | None = None
    while page := await store.page(after, batch):
        failed_before = len(failures)
        for key in page:
            if key.key_id == key_id:
                current += 1
                continue
            try:
                rewrapped += await rewrap(key)
            except KeyUnavailableError as error:
                failures.append(error)
        if len(failures) - failed_before == len(page) > 1:
            break
        after = page[-1].user_id
    return RotationReport(rewrapped, current), failures


def not_rewrapped(
    failures: list[KeyUnavailableError], report: RotationReport
) -> KeyUnavailableError:
    """Return the error of a rotation that left keys as they were."""
    first = failures[0]
    done = {"rewrapped": report.rewrapped, "current": report.current}
    return KeyUnavailableError(
        f"Keys that could not be rewrapped: {len(failures):,}; the first because: {first.message}",
        **{**first.details, **done, "unreadable": len(failures)},
    )
