"""Conversations of every shape, as the lines of a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from digitwin.conversations.transcripts.fields import TurnLine, UsageLine
from digitwin.conversations.transcripts.parts import FORMAT
from digitwin.kernel.primitives.ids import uuid7

HEADER = {"format": FORMAT, "version": "1.0"}
BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)

texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=40)
names = st.text(st.sampled_from("abcÄ漢🙂-. "), min_size=1, max_size=12).filter(str.strip)
counts = st.integers(0, 2**31 - 1)
moments = st.integers(0, 10**12).map(lambda n: BEGAN + timedelta(microseconds=n))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
_FIGURES = [name for name in TurnLine.__annotations__ if name.endswith(("_ms", "_tokens"))]
_COSTS = [
    n for n in UsageLine.__annotations__ if n.endswith(("_ms", "_tokens")) or n == "characters"
]


def _optional(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _ids(count: int) -> list[str]:
    return [str(uuid7()) for _ in range(count)]


@st.composite
def _period(draw: Any, *, ends: bool = True) -> dict[str, Any]:
    started = draw(st.none() | moments)
    ended = draw(st.none() | moments) if ends else None
    if started and ended and ended < started:
        started, ended = ended, started
    found = {"started_at": started, "ended_at": ended}
    return {name: moment.isoformat() for name, moment in found.items() if moment}


@st.composite
def _turn(draw: Any, position: int, speakers: list[str]) -> dict[str, Any]:
    status = draw(st.sampled_from(["completed", "interrupted", "open", "abandoned"]))
    turn = {
        "id": str(uuid7()),
        "position": position,
        "status": status,
        **draw(
            _optional(user_text=texts, twin_text=texts, language=st.sampled_from(["de", "pt-BR"]))
        ),
        **draw(_period(ends=status != "open")),
        **draw(st.dictionaries(st.sampled_from(_FIGURES), counts, max_size=4)),
        **draw(_optional(extra=objects)),
    }
    if "twin_text" in turn:
        turn |= draw(_optional(heard_text=texts))
    if speakers and draw(st.booleans()):
        turn["participant_id"] = draw(st.sampled_from(speakers))
    if draw(st.booleans()):
        turn["idempotency_key"] = f"k{position}"
    return turn


@st.composite
def _item(draw: Any, number: int, turns: list[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["message", "tool_call", "tool_result", "reasoning", "custom"]))
    item = {
        "id": str(uuid7()),
        "kind": kind,
        "number": number,
        "payload": draw(objects),
        "is_error": draw(st.booleans()),
        **draw(_period()),
        **draw(_optional(call_id=names, name=names)),
    }
    if draw(st.booleans()):
        item["item_id"] = f"i{number}"
    return _of_a_turn(draw, item, turns)


def _of_a_turn(draw: Any, row: dict[str, Any], turns: list[str]) -> dict[str, Any]:
    return row | (
        {"turn_id": draw(st.sampled_from(turns))} if turns and draw(st.booleans()) else {}
    )


@st.composite
def conversations(draw: Any) -> list[dict[str, Any]]:
    """The lines of one conversation, with a line for the format and one for the end."""
    speakers = _ids(draw(st.integers(0, 2)))
    session = {
        "type": "session",
        "id": str(uuid7()),
        "started_at": draw(moments).isoformat(),
        **draw(_optional(metadata=objects)),
    }
    if draw(st.booleans()):
        session["external_id"] = f"call-{session['id']}"
    if speakers:
        session["participant_id"] = speakers[0]
    if draw(st.booleans()):
        session |= {"status": "ended", "ended_at": draw(moments).isoformat()}
        session |= draw(_optional(end_reason=names))
    turns = [draw(_turn(n, speakers)) for n in range(1, draw(st.integers(0, 4)) + 1)]
    of = [turn["id"] for turn in turns]
    said = [id for id in speakers[1:] if any(t.get("participant_id") == id for t in turns)]
    numbers = sorted(draw(st.sets(st.integers(1, 50), max_size=4)))
    usage = [
        _of_a_turn(
            draw,
            {
                "id": str(uuid7()),
                "kind": draw(st.sampled_from(["llm", "stt", "tts", "avatar", "embedding"])),
                "request_id": f"r{n}",
                "used_at": draw(moments).isoformat(),
                **draw(st.dictionaries(st.sampled_from(_COSTS), counts, max_size=4)),
                **draw(_optional(provider=names, model=names, extra=objects)),
            },
            of,
        )
        for n in range(draw(st.integers(0, 3)))
    ]
    scores = st.floats(allow_nan=False, allow_infinity=False)
    sources = [
        {"id": str(uuid7()), "turn_id": id, **draw(_optional(score=scores, quote=texts))}
        for id in of
        if draw(st.booleans())
    ]
    artifacts = [
        _of_a_turn(
            draw,
            {
                "id": str(uuid7()),
                "kind": draw(st.sampled_from(["recording", "video", "image", "file"])),
                "metadata": draw(objects),
                **draw(_optional(duration_ms=counts, size_bytes=st.integers(0, 2**63 - 1))),
            },
            of,
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    kinds = ("guest", "phone")
    participants = [
        {"id": id, "kind": kind, **draw(_optional(name=names, traits=st.lists(names, max_size=2)))}
        for id, kind in zip(dict.fromkeys(speakers[:1] + said), kinds, strict=False)
    ]
    rows = {
        "participant": participants,
        "turn": turns,
        "item": [draw(_item(number, of)) for number in numbers],
        "usage": usage,
        "source": sources,
        "artifact": artifacts,
    }
    return [
        HEADER,
        session,
        *({"type": name, **row} for name, kind in rows.items() for row in kind),
        {"type": "end", **{name: len(kind) for name, kind in rows.items() if kind}},
    ]


def encoded(lines: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(line, ensure_ascii=False) for line in lines]


def decoded(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def ids_in(lines: list[dict[str, Any]]) -> set[str]:
    return {
        value
        for line in lines
        for name, value in line.items()
        if name == "id" or (name.endswith("_id") and name not in _NAMES)
    }


_NAMES = {"external_id", "item_id", "call_id", "request_id"}


def without_ids(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with each id replaced by the place where it first occurs."""
    places: dict[str, str] = {}

    def place(id: str) -> str:
        return places.setdefault(id, f"id {len(places)}")

    return [
        {
            name: place(value)
            if (name == "id" or name.endswith("_id")) and name not in _NAMES
            else value
            for name, value in line.items()
        }
        for line in lines
    ]
