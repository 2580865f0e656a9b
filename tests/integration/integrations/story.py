"""One story, which every framework that records a call tells with its own objects.

A scene is a conversation; its rows are what must be stored of it, whichever framework told it. A
framework that cannot tell something has its own expectation beside the scene, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from digitwin.database import Database


@dataclass(frozen=True)
class Item:
    """What happened in a turn besides speech."""

    kind: str
    name: str | None = None
    payload: Any = None
    is_error: bool = False


@dataclass(frozen=True)
class Turn:
    """A turn in what it means: without ids and times."""

    user_text: str | None
    twin_text: str | None
    heard_text: str | None = None
    status: str = "completed"
    items: tuple[Item, ...] = ()


ANSWER: Final = Turn("When do you open?", "From nine.")

BARGE_IN: Final = (
    Turn(
        "Tell me about the orchard",
        "My grandmother planted it. Then the war came.",
        heard_text="My grandmother planted it.",
        status="interrupted",
    ),
    Turn("Stop. What about bread?", "Rye, on Fridays."),
)
UNHEARD: Final = Turn(
    "Tell me about the orchard", "My grandmother planted it.", heard_text="", status="interrupted"
)
"""The participant cut in before anything of the answer was heard."""
FALSE_INTERRUPTION: Final = Turn("And the cider?", "We press it in October.")
"""A cough paused the twin, which went on."""

RAIN: Final = Turn(
    "Is it raining?",
    "No, it is dry.",
    items=(
        Item("tool_call", "weather", {"arguments": {"city": "Kyiv"}}),
        Item("tool_result", "weather", {"result": "dry"}),
    ),
)
RAIN_UNKNOWN: Final = Turn(
    "Is it raining?",
    "I cannot tell.",
    items=(
        Item("tool_call", "weather", {"arguments": {"city": "Kyiv"}}),
        Item("tool_result", "weather", {"result": "no station"}, is_error=True),
    ),
)
HANDOFF: Final = Turn(
    "I want to order bread",
    "I am the baker. Which one?",
    items=(
        Item("tool_call", "order", {"arguments": {}}),
        Item("tool_result", "order", {"result": ""}),
        Item("handoff", "baker", {"from": "guide"}),
    ),
)
"""The tool that hands over has no answer of its own: the next agent speaks in the same turn."""
RECONNECT: Final = (ANSWER, Turn("Are you still there?", "I am."))
"""The connection was lost between the turns, and another process took the call up."""
CRASH: Final = Turn("How old are the trees?", "Some are a hundred", status="open")
"""The process was killed while the twin spoke: what was flushed is there, in an open turn."""
HANG_UP: Final = Turn("Wait, one more", None, status="abandoned")
"""The participant left before the twin answered."""


AWAY: Final = (ANSWER, Turn("And on Sundays?", "Closed."), Turn("Thanks", "Until Monday."))
"""The database was away during the second turn."""


async def told(db: Database, session_id: UUID) -> list[Turn]:
    """Return what is stored of a conversation, in what it means."""
    session = await db.sessions.with_turns(session_id, items=True)
    return [
        Turn(
            turn.user_text,
            turn.twin_text,
            turn.heard_text,
            str(turn.status),
            tuple(
                Item(item.kind, item.name, item.payload, bool(item.is_error))
                for item in sorted(turn.items, key=lambda item: item.number)
            ),
        )
        for turn in session.turns
    ]
