"""Flags of public methods: ``True`` or ``False``, and nothing that Python takes for either.

``include_deleted="no"`` is true, and would show what its caller wants hidden.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from digitwin.errors import InvalidInputError


def flags_of(method: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a method's parameters that are annotated as ``bool``.

    Raises:
        TypeError: (when the method is defined) one is not keyword-only, so that a call would not
            show what it switches.
    """
    code = inspect.unwrap(method).__code__
    keyword_only = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    kinds = method.__annotations__  # not `inspect.signature`: 30 us, for hundreds of methods
    found = tuple(name for name in kinds if kinds[name] in ("bool", bool) and name != "return")
    for name in found:
        if name not in keyword_only:
            raise TypeError(f"{method.__qualname__}: {name} must be keyword-only")
    return found


def require_flags(names: Iterable[str], given: Mapping[str, Any]) -> None:
    """Refuse a call whose flags are no bools.

    Raises:
        InvalidInputError: names the first such flag.
    """
    for name in names:
        if name in given and type(given[name]) is not bool:
            raise InvalidInputError(f"{name} must be True or False", field=name)
