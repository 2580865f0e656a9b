"""Events become one write, whose outcome is the same wherever the events are cut into writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from digitwin.conversations.living.writes import ItemWrite, SourceWrite, TurnWrite, UsageWrite
from digitwin.conversations.recorder.script import Event, Said


@dataclass(slots=True)
class Writes:
    """What one statement stores."""

    turns: list[TurnWrite] = field(default_factory=list)
    items: list[ItemWrite] = field(default_factory=list)
    usage: list[UsageWrite] = field(default_factory=list)
    sources: list[SourceWrite] = field(default_factory=list)


def folded(events: Iterable[Event], opening: Mapping[UUID, TurnWrite]) -> Writes:
    """Return what these events write.

    Args:
        events: in the order in which they were accepted.
        opening: for each turn that is not stored yet, how it opens. It does with the first event
            about it: the database may have refused the one that was to open it.
    """
    writes, opened = Writes(), set[UUID]()
    for event in events:
        turn_id = event.turn_id
        if turn_id is not None and turn_id in opening and turn_id not in opened:
            opened.add(turn_id)
            if not (type(event) is TurnWrite and event.opens):
                writes.turns.append(replace(opening[turn_id], user_text=None, twin_text=None))
        if type(event) is Said:
            writes.turns.append(TurnWrite(turn_id=event.turn_id, twin_text="".join(event.pieces)))
        elif type(event) is TurnWrite:
            writes.turns.append(event)
        elif type(event) is ItemWrite:
            writes.items.append(event)
        elif type(event) is UsageWrite:
            writes.usage.append(event)
        elif type(event) is SourceWrite:
            writes.sources.append(event)
    return writes
