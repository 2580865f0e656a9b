"""The filter of a search, as conditions on the values at paths.

A value is compared as JSON: `1` is `1.0`, and `true` is not `1`. What is missing counts as null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.jsonb import dumps, loads
from digitwin.kernel.primitives.validation import DEFERRED, JsonObject, validate

MAX_CONDITIONS: Final = 100

OPERATORS: Final = {
    "$eq": "=",
    "$ne": "<>",
    "$gt": ">",
    "$gte": ">=",
    "$lt": "<",
    "$lte": "<=",
}
"""Of a filter, each with that of a condition; the last four compare numbers."""

_FILTER: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject, config=DEFERRED)
_SPACE: Final = r"[ \t\r\n]*"
_DIGITS: Final = "([0-9]{1,200}[.]?[0-9]{0,200}|[.][0-9]{1,200})([eE][+-]?[0-9]{1,3})?"
NUMBER: Final = f"{_SPACE}[+-]?{_DIGITS}{_SPACE}"
"""A number that is written as text, as a regular expression of PostgreSQL's and of Python's."""
_NUMBER: Final = re.compile(NUMBER)


class Condition(NamedTuple):
    """A condition on the value at a path, as the statement reads it."""

    path: str
    operator: str
    operand: str


def conditions(filter: object) -> list[Condition]:
    """Return the conditions of a filter; a memory must fulfil each.

    Raises:
        InvalidInputError: it is no JSON object, has an operator that there is not, compares with
            something that is no number, or has more than 100 conditions.
    """
    if filter is None:
        return []
    given = loads(dumps(validate(_FILTER, filter, "filter")))  # of the built-in types alone
    found: list[Condition] = []
    for name, wanted in given.items():
        for condition in _compared((name,), wanted):
            found.append(condition)
            if len(found) > MAX_CONDITIONS:
                raise InvalidInputError(
                    f"filter has more than {MAX_CONDITIONS} conditions",
                    field="filter",
                    limit=MAX_CONDITIONS,
                )
    return found


def _compared(path: tuple[str, ...], wanted: Any) -> Iterator[Condition]:
    if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
        for name, operand in wanted.items():
            yield _operation(path, name, operand)
    elif isinstance(wanted, dict):
        yield _condition(path, "type", "object")
        for name, inner in wanted.items():
            yield from _compared((*path, name), inner)
    elif isinstance(wanted, list):
        yield _condition(path, "length", len(wanted))
        for n, inner in enumerate(wanted):
            yield from _compared((*path, str(n)), inner)
    else:
        yield _condition(path, "=", wanted)


def _operation(path: tuple[str, ...], name: str, operand: Any) -> Condition:
    operator = OPERATORS.get(name)
    if operator is None:
        known = ", ".join(OPERATORS)
        raise InvalidInputError(f"filter has an operator other than {known}", field="filter")
    if operator in ("=", "<>"):
        return _condition(path, operator, operand)
    return _condition(path, operator, _number(operand))


def _number(operand: Any) -> str:
    """Return a number as text; it may be given as text too."""
    text = operand if isinstance(operand, str) else dumps(operand)
    if isinstance(operand, bool) or not _NUMBER.fullmatch(text):
        raise InvalidInputError("filter compares with something that is no number", field="filter")
    return text.strip()


def _condition(path: tuple[str, ...], operator: str, operand: Any) -> Condition:
    return Condition(_array(path), operator, dumps(operand))


def _array(path: tuple[str, ...]) -> str:
    """Return a path as PostgreSQL reads an array of texts."""
    labels = ('"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"' for label in path)
    return "{" + ",".join(labels) + "}"
