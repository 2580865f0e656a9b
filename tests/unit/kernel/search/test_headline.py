"""An excerpt shows the words that were found, as they were written."""

from __future__ import annotations

import pytest

from digitwin.kernel.search.headline import WORDS, headline, marked_words


@pytest.mark.parametrize(
    ("text", "found", "shown"),
    [
        ("We went sailing.", "«sailing»", "We went «sailing»."),
        ("À l'École d'été!", "«ecole»", "À l'«École» d'été!"),
        ("東京都に行く", "«東京» «京都»", "«東京都»に行く"),
        ("mixed東京text", "«東京»", "mixed«東京»text"),
        ("nothing here", "", "nothing here"),
        ("...", "«x»", "..."),
        ("a_b", "«b»", "a_«b»"),
    ],
)
def test_what_was_found_is_marked(text: str, found: str, shown: str) -> None:
    assert headline(text, marked_words(found)) == shown


def test_a_long_text_is_cut_where_most_was_found() -> None:
    text = " ".join(["far"] + ["word"] * 100 + ["near", "far", "near"] + ["word"] * 100)
    shown = headline(text, frozenset({"near", "far"}))
    assert "«near» «far» «near»" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown.strip("… ").split()) == WORDS
