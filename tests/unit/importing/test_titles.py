"""A document's title is the one a reader would give it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from digitwin.importing.titles import MAX_LENGTH, title_of

PEP = (
    "PEP: 492\nTitle: Coroutines with async\n    and more\nStatus: Final\n\n\nAbstract\n========\n"
)


@pytest.mark.parametrize(
    ("suffix", "text", "title"),
    [
        (".txt", "\n\n  Opening hours \nFrom nine.", "Opening hours"),
        (".md", "intro\n\n# Opening *hours* #\n\n# Later", "Opening *hours*"),
        (".md", "Opening hours\n=====\n\n# Later", "Opening hours"),
        (".md", "## Second level\n\n# First level", "First level"),
        (".md", "```sh\n# a comment\n```\n# Real", "Real"),
        (".md", '---\nauthor: Ada\ntitle: "Opening hours"\n---\n# Other', "Opening hours"),
        (".md", "---\nauthor: Ada\n---\n# Other", "Other"),
        (".md", "no heading", "fallback"),
        (".rst", PEP, "Coroutines with async"),
        (".rst", "=====\nTitle\n=====\n\nPart\n----", "Title"),
        (".rst", ".. comment\n\nTitle\n=====\n", "Title"),
        (".rst", ":Author: Ada\n:Title: Hours\n\nPart\n----", "Hours"),
        (".rst", "The title: of this\n\nReal title\n----------", "Real title"),
        (".rst", "too short a rule\n---\n\nno title", "fallback"),
        (".rst", "no title", "fallback"),
        (".txt", " \n ", "fallback"),
    ],
)
def test_the_title_is_found(suffix: str, text: str, title: str) -> None:
    assert title_of(text, suffix, "fallback") == title


def test_a_long_title_is_cut_to_what_fits() -> None:
    title = title_of("x" * 600, ".txt", "fallback")
    assert len(title) == MAX_LENGTH
    assert title.endswith("x…")


@given(st.text(), st.sampled_from([".txt", ".md", ".rst"]))
def test_every_text_has_a_title_that_fits_on_one_line(text: str, suffix: str) -> None:
    title = title_of(text, suffix, "fallback")
    assert 0 < len(title) <= MAX_LENGTH
    assert title == " ".join(title.split())
