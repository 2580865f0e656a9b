"""Conversations as JSON lines: one object per line, read one at a time.

``{"id": …, "user_traits": […], "twin_traits": […], "turns": [{"speaker": …, "text": …}]}``;
``speaker`` is user or twin. Unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.fields import ExternalId, NewTurn, TurnText
from digitwin.conversations.transcripts.lines import MAX_LINE, parsed, too_long
from digitwin.kernel.primitives.validation import line, validate

Traits = Annotated[list[Annotated[str, line(500)]], Field(max_length=100)]


@with_config(ConfigDict(strict=True))
class Utterance(TypedDict):
    """One utterance of the user or the twin."""

    speaker: Literal["user", "twin"]
    text: TurnText


@with_config(ConfigDict(strict=True))
class Conversation(TypedDict):
    """One line of the file."""

    id: ExternalId
    user_traits: Traits
    twin_traits: Traits
    turns: list[Utterance]


_CONVERSATION = TypeAdapter(Conversation)


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the file, not parsed yet; ``raw`` is None if it is too long."""

    number: int
    size: int
    raw: bytes | None = field(repr=False)

    def conversation(self) -> Conversation:
        """Parse the line.

        Raises:
            InvalidInputError: it is not a valid conversation.
        """
        return validate(_CONVERSATION, self.parsed(), "line")

    def parsed(self) -> Any:
        """Parse the line, whatever it contains.

        Raises:
            InvalidInputError: it is not JSON.
        """
        if self.raw is None:
            raise too_long()
        return parsed(self.raw)


def records(path: Path) -> Iterator[Record]:
    """The lines of a file that are not blank, each with its number and its size in bytes."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                yield Record(number, len(raw) + _rest(file, raw), None)
            elif raw.strip():
                yield Record(number, len(raw), raw)


def _rest(file: BinaryIO, chunk: bytes) -> int:
    """Skip to the end of a line in chunks; return the bytes skipped."""
    size = 0
    while chunk and not chunk.endswith(b"\n"):
        chunk = file.readline(MAX_LINE)
        size += len(chunk)
    return size


def paired(utterances: list[Utterance]) -> list[NewTurn]:
    """Combine utterances into turns: a user's and the twin's next one form one turn.

    An utterance without a counterpart becomes a turn of its own; the order is kept.
    """
    turns: list[NewTurn] = []
    for utterance in utterances:
        text = utterance["text"]
        if utterance["speaker"] == "user":
            turns.append({"user_text": text})
        elif turns and "twin_text" not in turns[-1]:
            turns[-1]["twin_text"] = text
        else:
            turns.append({"twin_text": text})
    return turns
