"""New items, validated."""

from __future__ import annotations

from typing import Any, Final

from digitwin.conversations.content.fields import ITEMS
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import validate

MAX_ITEMS: Final = 1000
"""Items, or sources, of one call."""
PAIRED: Final = ("tool_call", "tool_result")
"""Kinds that need a ``call_id``: by it a call and its result find each other."""


def new_items(given: Any, field: str = "items") -> list[dict[str, Any]]:
    """Return the fields of new items.

    Raises:
        InvalidInputError: names ``field``; the message names the item and its field.
    """
    valid: Any = validate(ITEMS, listed(given, field, at_most=MAX_ITEMS, of="items"), field)
    for n, item in enumerate(valid):
        if item["kind"] in PAIRED and item.get("call_id") is None:
            raise InvalidInputError(f"{field}[{n}].call_id is missing", field=field)
        begun, ended = item.get("started_at"), item.get("ended_at")
        if begun is not None and ended is not None and ended < begun:
            raise InvalidInputError(f"{field}[{n}].ended_at is before started_at", field=field)
    return list(valid)
