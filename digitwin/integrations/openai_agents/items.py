"""Items of the SDK as items of a conversation, grouped by exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agents.items import TResponseInputItem

from digitwin.conversations.content.fields import ItemKind, NewItem
from digitwin.conversations.transcripts.messages import short, text_of
from digitwin.conversations.transcripts.openai import NAME
from digitwin.integrations.texts import storable
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.jsonb import MAX_DEPTH

PREFIX: Final = "openai-agents:"
"""Begins the ``item_id`` of the SDK's items: others may be in the session as well. The rest is
ours, since the SDK's ids repeat."""
_SEPARATOR: Final = "\n"
MOST_PARTS: Final = 100_000
"""Parts of an item whose texts are made storable."""


@dataclass(slots=True)
class Exchange:
    """Items of one turn: what the user says, and what follows.

    Args:
        begins: a user's message is the first that is said, which begins a turn.
        answers: the last that is said is the agent's, which ends it.
    """

    items: list[NewItem] = field(default_factory=list)
    user_texts: list[str] = field(default_factory=list)
    twin_texts: list[str] = field(default_factory=list)
    call_ids: set[str] = field(default_factory=set)
    begins: bool = False
    answers: bool = False

    def add(self, item: Any, role: str) -> None:
        """Append an item."""
        new = _new_item(item, role)
        if role in ("user", "assistant"):
            said, _ = text_of(new["payload"][NAME].get("content"))
            texts = self.user_texts if role == "user" else self.twin_texts
            texts += [said] if said else []
        if role:
            self.begins |= role == "user" and not self.has_begun
            self.answers = role == "assistant"
        if new["kind"] == "tool_result":
            self.call_ids.add(new["call_id"] or "")
        self.items.append(new)

    @property
    def has_begun(self) -> bool:
        """Whether anybody has said or called anything."""
        return self.begins or any(item["kind"] in _SPEAKING for item in self.items)


_SPEAKING: Final = ("message", "tool_call", "tool_result")


def exchanges(items: Iterable[Any]) -> list[Exchange]:
    """Group items: a user's message begins an exchange, unless it follows another of the user."""
    found = [Exchange()]
    last = ""
    for item in items:
        role = _role(item)
        if role == "user" and last not in ("", "user"):
            found.append(Exchange())
        found[-1].add(item, role)
        last = role or last
    return found


def original(payload: Any) -> TResponseInputItem:
    """Return the SDK's item."""
    item: TResponseInputItem = payload[NAME]
    return item


def joined(known: int, texts: Sequence[str], most: int) -> str | None:
    """Return what is appended to a text of this length; None: nothing.

    What does not fit is in the items alone.
    """
    said = ""
    for text in texts:
        added = _SEPARATOR + text if known + len(said) else text[:most]
        said += added if known + len(said) + len(added) <= most else ""
    return said or None


def _role(item: Any) -> str:
    """Return who says a message, ``tool`` of what a tool does, and nothing of the rest.

    What only tells the model something, such as a system message, begins and ends nothing.
    """
    if type(item) is not dict:
        return ""
    role = item.get("role")
    if item.get("type", "message") == "message" and role in ("user", "assistant"):
        return str(role)
    return "tool" if _tool_kind(item) else ""


def _tool_kind(item: dict[str, Any]) -> ItemKind | None:
    kind, call_id = item.get("type"), short(item.get("call_id"))
    if type(kind) is not str or call_id is None:
        return None
    if kind.endswith("_call_output"):
        return "tool_result"
    return "tool_call" if kind.endswith("_call") else None


def _new_item(item: Any, role: str) -> NewItem:
    plain = _storable(item)
    new: NewItem = {"kind": "custom", "item_id": f"{PREFIX}{uuid7()}", "payload": {NAME: plain}}
    if type(plain) is not dict:
        return new
    tool = _tool_kind(plain)
    if tool is not None:
        new |= {"kind": tool, "call_id": plain["call_id"], "name": short(plain.get("name"))}
    elif role or "role" in plain:
        new["kind"] = "message"
    elif plain.get("type") == "reasoning":
        new["kind"] = "reasoning"
    else:
        new["name"] = short(plain.get("type"))
    return new


def _storable(value: Any) -> Any:
    """Return a value whose texts can be stored; what else cannot is refused where it is stored."""
    return _replaced(value, iter(range(MOST_PARTS)), 0)


def _replaced(value: Any, budget: Iterator[int], depth: int) -> Any:
    """Go as deep and as far as a value that can be stored may be: it may contain itself."""
    if depth > MAX_DEPTH or next(budget, None) is None:
        return value
    if type(value) is str:
        return storable(value)
    if type(value) is list:
        return [_replaced(part, budget, depth + 1) for part in value]
    if type(value) is dict:
        return {
            storable(name) if type(name) is str else name: _replaced(part, budget, depth + 1)
            for name, part in value.items()
        }
    return value
