"""Reads JSON lines without trusting them: each is bounded, and an error names it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import Any, Final

from digitwin.errors import DigiTwinError, InvalidInputError
from digitwin.kernel.primitives.validation import unreadable

MAX_LINE: Final = 16 * 1024 * 1024
"""Maximum bytes of a line; a conversation of 100,000 utterances fits."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_SHORT = 18


def parsed(raw: bytes | str, field: str = "line") -> Any:
    """Parse a line.

    A number beyond 64 bits becomes a float, as in the value that jsonb made it from: it writes
    1e22 in full.

    Raises:
        InvalidInputError: it is too long, not UTF-8, or not JSON.
    """
    if len(raw) > MAX_LINE:
        raise too_long(field)
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return _DECODER.decode(text.removeprefix("\ufeff"))
    except UnicodeDecodeError:
        reason = "is not valid UTF-8"
    except json.JSONDecodeError as error:
        reason = f"is not valid JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError):
        reason = "is JSON with a number too long, or nested too deeply"
    raise InvalidInputError(f"the {field} {reason}", field=field)


def too_long(field: str = "line") -> InvalidInputError:
    """Return the error for a line that is too long."""
    message = f"the {field} is longer than {MAX_LINE:,} bytes"
    return InvalidInputError(message, field=field, limit=MAX_LINE)


def _integer(digits: str) -> int | float:
    if len(digits) <= _SHORT:
        return int(digits)
    number = int(digits)
    return number if _INT_MIN <= number <= _INT_MAX else float(digits)


_DECODER: Final = json.JSONDecoder(parse_int=_integer)


async def numbered(lines: Any) -> AsyncGenerator[tuple[int, bytes | str], None]:
    """Yield the lines that are not blank, with their numbers, from 1.

    Args:
        lines: an iterable or an async iterable of text or bytes, such as an open file.

    Raises:
        InvalidInputError: it is no such iterable, or raises when it is read.
    """
    number = 0
    async with aclosing(_each(lines)) as found:
        async for line in found:
            number += 1
            kind = type(line)
            if issubclass(kind, str):
                line = str.__str__(line)
            elif issubclass(kind, bytes | bytearray):
                line = bytes(memoryview(line))
            else:
                raise InvalidInputError(
                    f"line {number}: must be text or bytes", field="lines", line=number
                )
            if len(line) > MAX_LINE or line.strip():
                yield number, line


async def _each(lines: Any) -> AsyncGenerator[Any, None]:
    kind = type(lines)
    if issubclass(kind, str | bytes | bytearray) or not (
        issubclass(kind, AsyncIterable) or issubclass(kind, Iterable)
    ):
        raise InvalidInputError("lines must be an iterable of lines", field="lines")
    try:
        if not issubclass(kind, AsyncIterable):
            for line in lines:
                yield line
        elif hasattr(kind, "aclose"):
            async with aclosing(lines):
                async for line in lines:
                    yield line
        else:
            async for line in lines:
                yield line
    except DigiTwinError:
        raise
    except Exception as error:  # noqa: BLE001 - raised by a method of the caller's iterable
        raise unreadable("lines", error) from None
