"""Lines become conversations or complaints, and utterances become turns without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from digitwin.errors import InvalidInputError
from digitwin.importing import records as module
from digitwin.importing.records import Record, Utterance, paired, records

GOOD: dict[str, Any] = {
    "id": "c-1",
    "user_traits": ["I bake."],
    "twin_traits": ["I knit."],
    "turns": [{"speaker": "user", "text": "Hi!"}],
}


def record(**changes: Any) -> Record:
    return Record(1, 0, json.dumps({**GOOD, **changes}).encode())


def said(script: str) -> list[Utterance]:
    """``"utu"``: each letter is somebody's utterance, numbered."""
    return [
        {"speaker": "user" if who == "u" else "twin", "text": f"{who}{number}"}
        for number, who in enumerate(script)
    ]


@pytest.mark.parametrize(
    ("script", "turns"),
    [
        ("", []),
        ("ut", [("u0", "t1")]),
        ("tu", [(None, "t0"), ("u1", None)]),
        ("uut", [("u0", None), ("u1", "t2")]),
        ("utt", [("u0", "t1"), (None, "t2")]),
        ("tut", [(None, "t0"), ("u1", "t2")]),
        ("utut", [("u0", "t1"), ("u2", "t3")]),
    ],
)
def test_a_users_utterance_and_the_twins_next_are_one_turn(
    script: str, turns: list[tuple[str | None, str | None]]
) -> None:
    found = [(turn.get("user_text"), turn.get("twin_text")) for turn in paired(said(script))]
    assert found == turns


@given(st.text("ut", max_size=60))
def test_read_back_in_order_the_turns_are_the_utterances(script: str) -> None:
    texts = [
        text
        for turn in paired(said(script))
        for text in (turn.get("user_text"), turn.get("twin_text"))
        if text is not None
    ]
    assert texts == [utterance["text"] for utterance in said(script)]


def test_a_conversation_is_read_and_what_else_it_holds_is_left_alone() -> None:
    assert record(source="crowd").conversation() == GOOD


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": 7}, "id must be a string"),
        ({"id": " "}, "id must not be blank"),
        ({"turns": {}}, "turns must be a list"),
        (
            {"turns": [{"speaker": "dog", "text": "Woof"}]},
            "turns[0].speaker must be 'user' or 'twin'",
        ),
        ({"turns": [{"speaker": "user"}]}, "turns[0].text is missing"),
        (
            {"turns": [{"speaker": "user", "text": "a\0"}]},
            "turns[0].text must not contain a NUL character",
        ),
        ({"twin_traits": ["\ud800"]}, "twin_traits[0] must not contain a lone surrogate"),
        ({"user_traits": ["x" * 501]}, "user_traits[0] must have at most 500 characters"),
    ],
)
def test_a_conversation_that_does_not_fit_says_where(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        record(**changes).conversation()
    assert caught.value.message == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "the line is not valid JSON: Expecting property name"),
        (b"\xff", "the line is not valid UTF-8"),
        (b"[" * 100_000, "the line is JSON with a number too long"),
        (b"1" * 5000, "the line is JSON with a number too long"),
        (b"[]", "line must be a dict"),
        (None, "the line is longer than 16,777,216 bytes"),
    ],
)
def test_a_line_that_holds_no_conversation_says_why(raw: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        Record(1, 0, raw).conversation()


def test_lines_keep_their_numbers_across_blank_ones(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b"one\n\n  \r\nfour")
    assert list(records(path)) == [Record(1, 4, b"one\n"), Record(4, 4, b"four")]


@pytest.mark.parametrize("length", [8, 9, 16, 17, 24, 40])
def test_a_line_too_long_is_skipped_and_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 8)
    path = tmp_path / "some.jsonl"
    path.write_bytes(b"x" * length + b"\nnext")
    assert list(records(path)) == [Record(1, length + 1, None), Record(2, 4, b"next")]


def test_a_line_that_just_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 8)
    path = tmp_path / "some.jsonl"
    path.write_bytes(b"xxxxxxx\nyyyyyyyy")
    assert list(records(path)) == [Record(1, 8, b"xxxxxxx\n"), Record(2, 8, b"yyyyyyyy")]
