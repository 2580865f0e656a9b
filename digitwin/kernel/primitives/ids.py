"""Identifiers: version 7 UUIDs, which sort by creation time.

RFC 9562, section 5.7, with the 42-bit counter of its method 1: 48 bits of milliseconds, the
counter (seeded at random with its top bit clear, so that a millisecond has room for 2^41
more), 32 random bits. The counter makes ids of one process strictly increasing, even if
the clock stalls or goes back.
"""

from __future__ import annotations

import os
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from digitwin.errors import InvalidInputError

NOBODY = UUID(int=0)
"""Placeholder where a key requires a user id and there is no user; callers cannot pass it."""
_NIL = str(NOBODY)

_COUNTER_BITS = 42
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"
_CANONICAL = re.compile(_UUID)
_ONE_SPELLING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMED = re.compile(rf"((?:.*[:/])?)(\{{)?({_UUID})(?(2)\}})")
_URN = re.compile(r"(?:urn:uuid:)+\Z", re.IGNORECASE)


class _Clock:
    """The last issued time and counter; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._counter = 0

    def tick(self) -> tuple[int, int]:
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._milliseconds:
                self._milliseconds = now
                self._counter = int.from_bytes(os.urandom(6)) >> (48 - _COUNTER_BITS + 1)
            elif self._counter + 1 < 1 << _COUNTER_BITS:
                self._counter += 1
            else:
                self._milliseconds += 1
                self._counter = 0
            return self._milliseconds, self._counter


_clock = _Clock()


def _restart() -> None:
    """A forked child must not reuse its parent's counter or lock."""
    global _clock
    _clock = _Clock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_restart)


def uuid7() -> UUID:
    """Return a new id, greater than every id this process created before, in any thread."""
    milliseconds, counter = _clock.tick()
    high, low = counter >> 30, counter & 0x3FFF_FFFF
    tail = int.from_bytes(os.urandom(4))
    return UUID(int=milliseconds << 80 | high << 64 | low << 32 | tail | _VERSION_AND_VARIANT)


def floor_id(moment: datetime) -> UUID:
    """Return the smallest id of a millisecond, as a bound for ranges of ids by time.

    Raises:
        InvalidInputError: the datetime is naive, or before 1970.
    """
    if moment.tzinfo is None:
        raise InvalidInputError("moment must have a time zone", field="moment")
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise InvalidInputError("moment must not be before 1970", field="moment")
    return UUID(int=milliseconds << 80)


def parse_id(value: object, field: str = "id") -> UUID:
    """Return a UUID, given as UUID or string.

    The nil UUID is refused: in rows it stands for nobody, so that a caller that passes it, most
    likely an unset variable, would address what belongs to no person.

    Raises:
        InvalidInputError: it is neither, or nil; the error names ``field``.
    """
    kind = type(value)  # not isinstance(), which asks the value
    if issubclass(kind, UUID):
        id: UUID = value  # type: ignore[assignment]
    elif issubclass(kind, str) and (found := _CANONICAL.fullmatch(value)):  # type: ignore[call-overload]
        id = UUID(found[0])
    else:
        raise InvalidInputError(f"{field} must be a UUID or its string", field=field)
    if not id.int:
        raise InvalidInputError(f"{field} must not be the nil UUID", field=field)
    return id


def one_spelling(name: str) -> str:
    """Return a name whose id, if it is or ends in one, is lower case with hyphens.

    The id is a UUID in any spelling: upper case, without hyphens, in braces, as a URN. It is the
    whole name, or follows ``:`` or ``/``, as in ``user:<id>``. Other names are unchanged.
    """
    if len(name) == 36 and _ONE_SPELLING.fullmatch(name):
        return name  # the common case, in a tenth of the time
    match = _NAMED.fullmatch(name) if len(name) >= 32 else None
    return name if match is None else f"{_URN.sub('', match[1])}{UUID(match[3])}"


def refuse_nil(name: str, field: str) -> str:
    """Return a name, in its one spelling, unchanged.

    Raises:
        InvalidInputError: it is the nil UUID, or ``user:`` and the nil UUID.
    """
    if name.removeprefix("user:") == _NIL:
        raise InvalidInputError(f"{field} must not be the nil UUID", field=field)
    return name
