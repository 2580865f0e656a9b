"""The types of lines of a transcript, each a row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from digitwin.conversations.transcripts.fields import (
    ArtifactLine,
    EndLine,
    ItemLine,
    ParticipantLine,
    SessionLine,
    SourceLine,
    TurnLine,
    UsageLine,
)

FORMAT: Final = "digitwin-conversations"
MAJOR: Final = 1
MINOR: Final = 0
"""A new field or type of line increases the minor version, anything else the major one."""

NEVER_LATER: Final = frozenset({"created_at", "updated_at", "used_at"})
"""Moments at which something was stored: one in the future is of a clock that was ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A type of line.

    Args:
        name: the line's ``type``.
        table: whose rows they are.
        fields: the TypedDict of the line; each field is a column.
        defaults: values of columns that a line may leave out and that may not be NULL.
    """

    name: str
    table: str
    fields: Any
    defaults: Mapping[str, Any] = field(default_factory=dict)
    adapter: TypeAdapter[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapter", TypeAdapter(self.fields))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order of the line's fields, the required ones after ``id``."""
        names = dict.fromkeys(("id", *self.fields.__annotations__))
        return tuple(names)

    def line(self, row: str) -> str:
        """Return SQL that makes the line of a row: JSON without the fields that are NULL.

        Args:
            row: the alias of the row.
        """
        fields = "".join(
            f""", ',"{name}":' || to_json({row}."{name}")::text""" for name in self.columns
        )
        return f"""concat('{{"type":"{self.name}"'{fields}, '}}')"""


SESSION: Final = Part("session", "conversation_sessions", SessionLine, {"metadata": {}})
PARTICIPANT: Final = Part("participant", "participants", ParticipantLine, {"traits": []})
TURN: Final = Part("turn", "conversation_turns", TurnLine, {"status": "completed"})
ITEM: Final = Part("item", "turn_items", ItemLine, {"payload": {}, "is_error": False})
USAGE: Final = Part("usage", "usage_records", UsageLine)
SOURCE: Final = Part("source", "turn_sources", SourceLine)
ARTIFACT: Final = Part("artifact", "session_artifacts", ArtifactLine, {"metadata": {}})
CONTENTS: Final = (TURN, ITEM, USAGE, SOURCE, ARTIFACT)
"""What is inside a conversation, in the order in which it is stored."""
PARTS: Final[Mapping[str, Part]] = {part.name: part for part in (SESSION, PARTICIPANT, *CONTENTS)}
END: Final[TypeAdapter[EndLine]] = TypeAdapter(EndLine)
