"""Messages of LangChain, as ``messages_to_dict`` returns them."""

from __future__ import annotations

from typing import Any, Final

from digitwin.conversations.transcripts.messages import (
    Call,
    Fields,
    Message,
    Role,
    short,
    text_of,
)
from digitwin.errors import InvalidInputError

NAME: Final = "langchain"

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "SystemMessageChunk": "system",
    "human": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
    "chat": "other",
    "ChatMessageChunk": "other",
    "remove": "other",
}
_TYPES: Final = {"system": "system", "user": "human", "assistant": "ai", "tool": "tool"}


def read(message: Fields) -> Message:
    """Read a message.

    Raises:
        InvalidInputError: its type is unknown, or it has no ``data``.
    """
    kind, data = message.get("type"), message.get("data")
    role = _ROLES.get(kind) if type(kind) is str else None
    if role is None or type(data) is not dict:
        expected = "system, human, ai, tool, function or chat"
        raise InvalidInputError(
            f"type must be {expected}, with data: pass what messages_to_dict returns",
            field="messages",
        )
    text, parts = text_of(data.get("content"))
    return Message(
        role=role,
        text=text,
        parts=parts,
        name=short(data.get("name")),
        calls=tuple(_call(call) for call in _list(data.get("tool_calls"))),
        call_id=short(data.get("tool_call_id")),
        is_error=data.get("status") == "error",
        usage=_usage(data),
        kind={"tool": "tool_result", "other": "custom"}.get(role, "message"),
        is_plain=bool(text)
        and role in ("user", "assistant")
        and message == _message(_TYPES[role], text),
        original=message,
    )


def write(message: Message) -> Fields | None:
    """Return the message as ``messages_from_dict`` reads it; None if it is of no known role."""
    if message.role == "other":
        return None
    kind = _TYPES[message.role]
    written = _message(kind, message.text if message.parts is None else list(message.parts))
    data = written["data"]
    data["name"] = message.name
    if message.role == "tool":
        status = "error" if message.is_error else "success"
        data |= {"tool_call_id": message.call_id or "", "artifact": None, "status": status}
    elif message.role == "assistant":
        data["tool_calls"] = [_write_call(call) for call in message.calls]
    return written


def is_original(message: Fields) -> bool:
    """Return whether a message that was read is one of LangChain: all are."""
    return True


def _message(kind: str, content: Any) -> Fields:
    """Return a message that has nothing but a content."""
    data: Fields = {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": None,
        "id": None,
    }
    if kind == "ai":
        data |= {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    return {"type": kind, "data": data}


def _list(value: Any) -> list[Fields]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _dict(value: Any) -> Fields:
    return value if type(value) is dict else {}


def _call(call: Fields) -> Call:
    return Call(id=short(call.get("id")), name=short(call.get("name")), arguments=call.get("args"))


def _write_call(call: Call) -> Fields:
    is_dict = type(call.arguments) is dict
    args = call.arguments if is_dict else {"arguments": call.arguments}
    return {"name": call.name or "", "args": args, "id": call.id, "type": "tool_call"}


def _usage(data: Fields) -> Fields | None:
    """Return the usage of a message by buckets: LangChain's totals contain the details."""
    given = _dict(data.get("usage_metadata"))
    if not given:
        return None
    read, written = (
        _dict(given.get("input_token_details")),
        _dict(given.get("output_token_details")),
    )
    buckets = {
        "cached_input_tokens": _count(read.get("cache_read")),
        "cache_write_tokens": _count(read.get("cache_creation")),
        "audio_input_tokens": _count(read.get("audio")),
        "reasoning_tokens": _count(written.get("reasoning")),
        "audio_output_tokens": _count(written.get("audio")),
    }
    names = list(buckets)
    for name, parts in (("input_tokens", names[:3]), ("output_tokens", names[3:])):
        total = _count(given.get(name))
        buckets[name] = total and max(total - sum(buckets[part] or 0 for part in parts), 0)
    about = _dict(data.get("response_metadata"))
    labels = {
        "provider": short(about.get("model_provider"), 100),
        "model": short(about.get("model_name") or about.get("model")),
        "request_id": short(about.get("id") or data.get("id")),
    }
    return {name: value for name, value in {**labels, **buckets}.items() if value is not None}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None
