"""Converts pydantic's validation errors: the field, the requirement and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from digitwin.errors import InvalidInputError

_PHRASES: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_unicode": "must not contain a lone surrogate",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} character(s)",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} item(s)",
    "list_type": "must be a list",
    "dict_type": "must be a dict",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must not be NaN or infinity",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "is_instance_of": "must be a {class}",
    "datetime_type": "must be a datetime",
    "timezone_aware": "must have a time zone",
    "value_error": "{error}",
}
_LIMITS = ("max_length", "min_length", "ge", "gt", "le", "lt")


def refusal(error: ValidationError, unnamed: str) -> InvalidInputError:
    """Convert the first error; ``unnamed`` is the field's name if pydantic reports none.

    Unknown fields come first: a misspelt name is often the reason why another is missing.
    """
    found = error.errors(include_url=False, include_input=False)
    first = min(found, key=lambda detail: detail["type"] != "extra_forbidden")
    place = first["loc"]
    if not place or isinstance(place[0], int):
        place = (unnamed, *place)
    field = str(place[0])[:100]
    if first["type"] == "extra_forbidden":
        return InvalidInputError(f"unknown field {_path(place)!r}", field=field)
    refused = InvalidInputError(f"{_path(place)} {_phrase(first)}", field=field)
    refused.details |= _limit(first.get("ctx", {}))
    return refused


def _limit(context: Mapping[str, Any]) -> dict[str, Any]:
    name = next((name for name in _LIMITS if name in context), None)
    return {} if name is None else {"limit": context[name]}


def _path(place: tuple[int | str, ...]) -> str:
    """Format the path of the invalid value, such as ``turns[0].text``."""
    return (str(place[0]) + "".join(map(_step, place[1:4])))[:100]


def _step(part: int | str) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return "" if part in _UNION or "[" in part else f".{part}"


_UNION = {"uuid", "str"}
"""Path items that are union members, not names; other members contain brackets."""


def _phrase(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    phrase = _PHRASES.get(detail["type"])
    if phrase is not None:
        return phrase.format(**context)
    return detail["msg"].replace("Input should be", "must be")
