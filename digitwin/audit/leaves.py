"""Rows of ``leaves_with_records``: what was sealed next to what is stored now."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from digitwin.audit import hash_chain


class LeafReader:
    """Reads rows, which are in the order of their seals, one seal at a time."""

    def __init__(self, rows: AsyncGenerator[Mapping[str, Any], None]) -> None:
        self._rows = rows
        self._ahead: Mapping[str, Any] | None = None

    async def of(self, seal: int) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the rows of a seal; skip those of earlier seals, which are missing."""
        while (row := self._ahead or await anext(self._rows, None)) is not None:
            self._ahead = row
            if row["seal"] > seal:
                return
            self._ahead = None
            if row["seal"] == seal:
                yield row


def is_unchanged(row: Mapping[str, Any]) -> bool:
    """Return whether a record still has the content and the time that were sealed."""
    committed = hash_chain.commitments(row, row["salts"], row["commitments"])
    now = hash_chain.content(row, committed), committed, row["created_at"]
    return now == (row["content"], row["commitments"], row["dated"])


def is_swapped(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether a record has the content that was sealed for another one."""
    committed = hash_chain.commitments(row, other["salts"], other["commitments"])
    return bool(hash_chain.content(row, committed) == other["content"])
