"""A message of a language model's history, in no provider's format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.jsonb import json_error
from digitwin.kernel.primitives.validation import dumps

Role: TypeAlias = Literal["system", "user", "assistant", "tool", "other"]
Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool; ``arguments`` is any JSON value."""

    id: str | None
    name: str | None
    arguments: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message.

    Args:
        text: what it says, without parts that are no text.
        parts: the whole content, if it is more than a text.
        call_id: of a tool's result, the call's.
        usage: the fields of a usage line.
        kind: of an item that holds it.
        is_plain: whether role and text are all that there is to it.
        original: the message in its own format, if it is not plain.
    """

    role: Role
    text: str = ""
    parts: tuple[Any, ...] | None = None
    name: str | None = None
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    is_error: bool = False
    usage: Mapping[str, Any] | None = None
    kind: str = "message"
    is_plain: bool = False
    original: Fields | None = None


def plain_json(value: Any, field: str) -> Fields:
    """Return a JSON object as built-in types.

    Raises:
        InvalidInputError: it is no dict, or jsonb could not store it.
    """
    if not issubclass(type(value), dict):
        raise InvalidInputError(f"{field} must be a dict", field="messages")
    found = json_error(value)
    if found is not None:
        raise InvalidInputError(f"{field} {found}", field="messages")
    plain: Fields = json.loads(dumps(value))
    return plain


def text_of(content: Any) -> tuple[str, tuple[Any, ...] | None]:
    """Return the text of a message's content, and its parts if it is a list.

    Each provider has its own names for parts of text: what has a ``text`` is text.
    """
    if type(content) is str:
        return content, None
    if type(content) is not list:
        return "", None
    return "\n".join(filter(None, map(_text_of_part, content))), tuple(content)


def _text_of_part(part: Any) -> str:
    if type(part) is not dict:
        return part if type(part) is str else ""
    is_thought = part.get("type") in ("reasoning", "thinking")
    found = next((part[name] for name in ("text", "refusal") if type(part.get(name)) is str), "")
    return "" if is_thought else found


def as_text(value: Any) -> str:
    """Return a JSON value as the text that a model reads."""
    return value if type(value) is str else dumps(value)


def as_value(text: Any) -> Any:
    """Return the JSON value that a text is, or the text: a model may write anything."""
    if type(text) is not str:
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if json_error(found) else found


def short(value: Any, most: int = 200) -> str | None:
    """Return a name that a column can hold, else None: the original message has it anyway."""
    is_name = type(value) is str and 0 < len(value) <= most and value.isprintable()
    return value if is_name and value.strip() else None
