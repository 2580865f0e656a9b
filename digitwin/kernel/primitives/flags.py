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
    found = [
        parameter
        for parameter in inspect.signature(method).parameters.values()
        if parameter.annotation in ("bool", bool)
    ]
    for parameter in found:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"{method.__qualname__}: {parameter.name} must be keyword-only")
    return tuple(parameter.name for parameter in found)


def require_flags(names: Iterable[str], given: Mapping[str, Any]) -> None:
    """Refuse a call whose flags are no bools.

    Raises:
        InvalidInputError: names the first such flag.
    """
    for name in names:
        if name in given and type(given[name]) is not bool:
            raise InvalidInputError(f"{name} must be True or False", field=name)
