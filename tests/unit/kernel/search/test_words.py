"""Words of a question: folded, without punctuation, and in pairs where no spaces are written."""

from __future__ import annotations

import pytest

from digitwin.kernel.search.words import fold, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When's the well-known café open?", ["When", "s", "the", "well", "known", "cafe", "open"]),
        ("ada@example.com", ["ada", "example", "com"]),
        ("東京都", ["東京 京都"]),
        ("猫", ["猫"]),
        ("2024年の東京 trip", ["2024", "年の の東 東京", "trip"]),
        ("ﾃﾞｽ", ["デス"]),
        ("서울에서", ["서울 울에 에서"]),
        ("", []),
        ("?!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "folded"), [("Ångström", "Angstrom"), ("שָׁלוֹם", "שלום"), ("ข้าว", "ขาว"), ("ё", "е")]
)
def test_accents_and_points_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded
