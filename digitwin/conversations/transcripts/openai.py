"""Messages of OpenAI's Chat Completions; items of its Responses API are read too."""

from __future__ import annotations

from typing import Any, Final

from digitwin.conversations.transcripts.messages import (
    Call,
    Fields,
    Message,
    Role,
    as_text,
    as_value,
    short,
    text_of,
)
from digitwin.errors import InvalidInputError

NAME: Final = "openai"

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_PARTS: Final = frozenset({"text", "image_url", "input_audio", "file", "refusal"})


def read(message: Fields) -> Message:
    """Read a message.

    Raises:
        InvalidInputError: it has neither a known role nor a type.
    """
    role = _ROLES.get(message["role"]) if type(message.get("role")) is str else None
    if role is None:
        return _read_item(message)
    content = message.get("content")
    text, parts = text_of(content)
    if not text and type(message.get("refusal")) is str:
        text = message["refusal"]
    return Message(
        role=role,
        text=text,
        parts=parts,
        name=short(message.get("name")),
        calls=_calls(message),
        call_id=short(message.get("tool_call_id")),
        kind="tool_result" if role == "tool" else "message",
        is_plain=bool(text)
        and message == {"role": role, "content": text}
        and role in ("user", "assistant"),
        original=message,
    )


def write(message: Message) -> Fields | None:
    """Return the message for Chat Completions; None if there is none that says the same."""
    if message.role == "other":
        return None
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id or "", "content": message.text}
    written: Fields = {"role": message.role, "content": _content(message)}
    if message.name is not None:
        written["name"] = message.name
    if message.calls:
        written["content"] = written["content"] or None
        written["tool_calls"] = [_write_call(call) for call in message.calls]
    return written


def is_original(message: Fields) -> bool:
    """Return whether a message that was read is one of Chat Completions."""
    return "role" in message and message.get("type") is None


def _calls(message: Fields) -> tuple[Call, ...]:
    given = message.get("tool_calls")
    calls = [call for call in given if type(call) is dict] if type(given) is list else []
    found = [_call(call.get("id"), call.get("function") or call.get("custom")) for call in calls]
    if type(message.get("function_call")) is dict:
        found.append(_call(None, message["function_call"]))
    return tuple(found)


def _call(id: Any, function: Any) -> Call:
    called = function if type(function) is dict else {}
    arguments = as_value(called.get("arguments", called.get("input", {})))
    return Call(id=short(id), name=short(called.get("name")), arguments=arguments)


def _write_call(call: Call) -> Fields:
    function = {"name": call.name or "", "arguments": as_text(call.arguments)}
    return {"id": call.id or "", "type": "function", "function": function}


def _content(message: Message) -> str | list[Any]:
    parts = [
        part
        for part in message.parts or ()
        if type(part) is dict and part.get("type") in _PARTS and part["type"] in part
    ]
    return parts if any(part["type"] != "text" for part in parts) else message.text


def _read_item(item: Fields) -> Message:
    """Read an item of the Responses API."""
    kind = item.get("type")
    if type(kind) is not str or "data" in item:  # one of LangChain's has data
        raise InvalidInputError(f"role must be one of {', '.join(_ROLES)}", field="messages")
    if kind == "function_call":
        call = _call(item.get("call_id"), item)
        return Message(role="assistant", calls=(call,), original=item)
    if kind == "function_call_output":
        text, parts = text_of(item.get("output"))
        return Message(
            role="tool",
            text=text,
            parts=parts,
            call_id=short(item.get("call_id")),
            kind="tool_result",
            original=item,
        )
    return Message(
        role="other", kind="reasoning" if kind == "reasoning" else "custom", original=item
    )
