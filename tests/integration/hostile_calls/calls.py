"""Finds every public method of a handle by itself, calls it, and judges how the call ended."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, get_args, get_type_hints

from typing_extensions import is_typeddict

from digitwin.errors import DigiTwinError, RateLimitedError
from digitwin.settings import Settings
from tests.integration.hostile_calls.values import MARK

BOUND = 10.0
"""Seconds of one call on a busy machine; nearly all take less than a thousandth of it."""

_ENDS_THE_HANDLE = {"close"}
_BETWEEN_DOMAINS = {
    "before_final",
    "decrypt",
    "encrypt",
    "forget_searches",
    "forget_tags",
    "forget_user",
    "has_key",
    "prefetch",
}
"""What domains offer each other: documented nowhere, and called with what is validated."""
_NOT_CALLED = _ENDS_THE_HANDLE | _BETWEEN_DOMAINS
_PARTS_BETWEEN_DOMAINS = {"artifacts"}

CALLBACKS = {"factory", "progress", "deleter"}
"""The caller's own functions; what they raise is the caller's."""


@dataclass(frozen=True)
class Method:
    """A public method of a part of a handle, with the names of its parameters."""

    path: str
    call: Callable[..., Any] = field(repr=False)
    parameters: tuple[str, ...]
    required: frozenset[str]

    @property
    def part(self) -> str:
        return self.path.split(".")[-2]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def methods_of(part: Any, path: str) -> Iterator[Method]:
    """Yield the public methods of this part of a handle and of the parts that it has."""
    kind = type(part)
    for name in dir(kind):
        function = inspect.getattr_static(kind, name)
        if isinstance(function, FunctionType) and _is_public(name):
            yield Method(f"{path}.{name}", getattr(part, name), *_parameters(function))
    for name, inner in sorted(vars(part).items()):
        is_ours = type(inner).__module__.startswith("digitwin.")
        is_part = _is_public(name) and name not in _PARTS_BETWEEN_DOMAINS
        if is_ours and is_part and not isinstance(inner, Settings):
            yield from methods_of(inner, f"{path}.{name}")


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _NOT_CALLED


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of all parameters, and of those without a default."""
    function = inspect.unwrap(function)
    hints = get_type_hints(function, include_extras=True)
    names: list[str] = []
    required: set[str] = set()
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            (fields,) = get_args(hints[parameter.name])
            assert is_typeddict(fields), f"{function.__qualname__}: keywords without types"
            names += get_type_hints(fields)
            required |= fields.__required_keys__
        else:
            names.append(parameter.name)
            if parameter.default is parameter.empty:
                required.add(parameter.name)
    return tuple(names), frozenset(required)


async def fault_of(method: Method, arguments: dict[str, Any]) -> str | None:
    """Call the method; return what is wrong with how the call ended, or None."""
    begun = time.monotonic()
    try:
        await _finish(method.call(**arguments))
    except DigiTwinError as error:
        found = next((text for text in _texts(error) if MARK in text), None)
        names_endpoint = isinstance(error, RateLimitedError)
        if found is not None and not names_endpoint:
            return f"repeats a value: {found[:200]}"
    except Exception as error:  # noqa: BLE001 - whichever it is, it is a fault
        if not CALLBACKS & arguments.keys() or not _is_callers(error):
            return f"{type(error).__name__} {_place(error)}"
    spent = time.monotonic() - begun
    return f"took {spent:.1f} s" if spent > BOUND else None


async def _finish(found: Any) -> None:
    """Go on with what a call returned as a caller does, to its end or to the third item."""
    if isinstance(found, AbstractAsyncContextManager):
        async with found:
            pass
    elif isinstance(found, AbstractContextManager):
        with found:
            pass
    elif isinstance(found, AsyncIterator):
        items = 0
        async for _ in found:
            items += 1
            if items == 3:
                break
        await found.aclose()
    elif hasattr(type(found), "write_to"):
        await _finish(aiter(found))
    elif inspect.iscoroutine(found):
        await _finish(await found)


def _texts(error: BaseException | None) -> Iterator[str]:
    """Yield what is printed of an error and of those that it was raised from."""
    while error is not None:
        details = {**getattr(error, "details", {}), "worker": None}  # who holds a lease is told
        yield f"{error} {error!r} {details}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_callers(error: BaseException) -> bool:
    """Return whether an error was raised in a callback, or by the attempt to call it."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return "hostile_calls" in code.co_filename or code.co_name in {"_made_by", "maintain"}


def _place(error: BaseException) -> str:
    """Return the last line of the package that the error went through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/digitwin/" in file and "/tests/" not in file:
            place = f"in digitwin/{file.rpartition('/digitwin/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
