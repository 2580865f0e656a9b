"""Between a history of messages and a conversation of turns and items.

A turn is an exchange. If it is a question and an answer in plain text, the turn alone holds it.
Otherwise each of its messages is an item as well, with the original message in its payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Final

from digitwin.conversations.fields import MAX_TEXT
from digitwin.conversations.transcripts import langchain, openai
from digitwin.conversations.transcripts.messages import Call, Fields, Message, as_text
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.jsonb import json_error

FORMATS: Final[dict[str, ModuleType]] = {openai.NAME: openai, langchain.NAME: langchain}


def exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """Group messages into turns; those before the first exchange are the first group.

    A user's message begins a turn, and so does the twin's if it answered already.
    """
    turns: list[list[Message]] = [[]]
    for message in messages:
        if _begins(message, turns):
            turns.append([])
        turns[-1].append(message)
    return turns


def _begins(message: Message, turns: list[list[Message]]) -> bool:
    said = [known for known in turns[-1] if known.role not in ("system", "other")]
    if len(turns) == 1:
        return message.role not in ("system", "other")
    if not said:
        return False
    is_answered = said[-1].role == "assistant" and not said[-1].calls
    return message.role == "user" or (is_answered and message.role != "tool")


def rows_of(messages: Sequence[Message], format: str) -> Iterator[tuple[str, Fields]]:
    """Yield the type and the fields of each line: turns, their items, and usage."""
    requests: set[str] = set()
    for n, exchange in enumerate(exchanges(messages)):
        turn: Fields = {"id": str(uuid7())}
        said = {
            name: "\n".join(m.text for m in exchange if m.role == role and m.text)[:MAX_TEXT]
            for name, role in (("user_text", "user"), ("twin_text", "assistant"))
        }
        of: Fields = {"turn_id": turn["id"]} if n else {}
        if n:
            yield "turn", turn | {name: text for name, text in said.items() if text}
        for message in exchange:
            if not _is_plain(exchange):
                yield from (("item", of | item) for item in _items(message, format))
            if message.usage is not None:
                usage = {"kind": "llm", **of, **message.usage}
                if usage.get("request_id") in requests:
                    del usage["request_id"]
                requests.add(usage.get("request_id", ""))
                yield "usage", usage


def _is_plain(exchange: Sequence[Message]) -> bool:
    roles = [message.role for message in exchange]
    return roles in (["user"], ["assistant"], ["user", "assistant"]) and all(
        message.is_plain and len(message.text) <= MAX_TEXT for message in exchange
    )


def _items(message: Message, format: str) -> Iterator[Fields]:
    original = {format: message.original}
    if message.calls:
        for call in message.calls:
            item = {"kind": "tool_call", "call_id": call.id, "name": call.name}
            yield _item(item, {"arguments": call.arguments, **original})
            original = {}
        return
    payload: Fields = {"role": message.role} if message.kind == "message" else {}
    if message.kind == "tool_result":
        payload["result"] = list(message.parts) if message.parts is not None else message.text
    item = {"kind": message.kind, "call_id": message.call_id, "name": message.name}
    yield _item(item | {"is_error": message.is_error}, payload | original)


def _item(item: Fields, payload: Fields) -> Fields:
    found = json_error(payload)
    if found is not None:
        raise InvalidInputError(f"a message {found}", field="messages")
    return {name: v for name, v in item.items() if v is not None} | {"payload": payload}


def messages_of(turns: Sequence[Fields], items: Sequence[Fields]) -> Iterator[tuple[Message, str]]:
    """Yield the messages of a conversation, each with the format of its original, or ''."""
    yield from _originals([item for item in items if "turn_id" not in item])
    by_turn: dict[str, list[Fields]] = {}
    for item in items:
        by_turn.setdefault(item.get("turn_id", ""), []).append(item)
    for turn in turns:
        of = by_turn.get(turn["id"], [])
        if any(_original(item) for item in of):
            yield from _originals(of)
        else:
            yield from ((message, "") for message in _lived(turn, of))


def _original(item: Fields) -> tuple[Fields, str] | None:
    payload = item["payload"]
    if type(payload) is not dict:
        return None
    found = ((payload.get(name), name) for name in FORMATS)
    return next(((value, name) for value, name in found if type(value) is dict), None)


def _originals(items: Sequence[Fields]) -> Iterator[tuple[Message, str]]:
    """Yield the messages that items were made from, then what was recorded beside them."""
    known: set[str | None] = set()
    rest: list[Fields] = []
    for item in items:
        found = _original(item)
        if found is None:
            rest.append(item)
            continue
        message = FORMATS[found[1]].read(found[0])
        known |= {call.id for call in message.calls}
        yield message, found[1]
    beside = [item for item in rest if item.get("call_id") not in known]
    yield from ((message, "") for message in _tools(beside))


def _lived(turn: Fields, items: Sequence[Fields]) -> Iterator[Message]:
    """Yield what a turn says that was recorded as it happened.

    Of an answer that was interrupted, what was heard: the user knows no more of it.
    """
    if turn.get("user_text"):
        yield Message(role="user", text=turn["user_text"])
    yield from _tools(items)
    answer = turn.get("twin_text")
    if turn["status"] == "interrupted":
        answer = turn.get("heard_text", answer)
    if answer:
        yield Message(role="assistant", text=answer)


def _tools(items: Sequence[Fields]) -> Iterator[Message]:
    """Yield tool calls with their results; models refuse one without the other."""
    results = {i.get("call_id"): i for i in items if i["kind"] == "tool_result"}
    calls = [i for i in items if i["kind"] == "tool_call" and i.get("call_id") in results]
    called = {i["call_id"] for i in calls if "call_id" in i}
    waiting: list[Fields] = []
    for item in items:
        if item.get("call_id") not in called:
            continue
        if item["kind"] == "tool_call":
            waiting.append(item)
        elif item["kind"] == "tool_result" and waiting:
            yield Message(role="assistant", calls=tuple(map(_call, waiting)))
            for call in waiting:
                yield _result(results[call["call_id"]], call.get("name"))
            waiting.clear()


def _call(item: Fields) -> Call:
    payload = item["payload"]
    arguments = payload.get("arguments", {}) if type(payload) is dict else payload
    return Call(id=item["call_id"], name=item.get("name"), arguments=arguments)


def _result(item: Fields, name: str | None) -> Message:
    payload = item["payload"]
    result = payload.get("result", payload) if type(payload) is dict else payload
    return Message(
        role="tool",
        text=as_text(result),
        name=name,
        call_id=item["call_id"],
        is_error=item["is_error"],
    )


def written(messages: Iterable[tuple[Message, str]], format: str) -> list[Fields]:
    """Return messages in a format: the original ones, as far as they are of it.

    Calls that follow each other become one message, as models expect them.
    """
    target = FORMATS[format]
    done: list[Fields] = []
    calling: Message | None = None
    for message, of in messages:
        if of == format and target.is_original(message.original):
            calling = None
            done.append(message.original or {})
            continue
        if calling is not None and message.role == "assistant" and message.calls:
            message = replace(message, text=calling.text, calls=calling.calls + message.calls)
            done.pop()
        found = target.write(message)
        if found is not None:
            done.append(found)
            calling = message if message.calls else None
    return done
