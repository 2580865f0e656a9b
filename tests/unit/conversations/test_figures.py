"""One odd figure costs nothing: it is rounded, unknown, or kept beside the others."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin.conversations import figures as module
from digitwin.conversations.figures import MAX_EXTRA, MAX_FIGURE, figures
from digitwin.errors import InvalidInputError

COLUMNS = ("llm_ms", "asr_ms")


@pytest.fixture(autouse=True)
def _nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_warned", set())


class Number(int):
    """A subclass, as frameworks have."""


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (0, 0),
        (80, 80),
        (Number(80), 80),
        (80.4, 80),
        (80.6, 81),
        (-1, None),
        (-0.7, None),
        (-(10**400), None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        (MAX_FIGURE, MAX_FIGURE),
    ],
)
def test_a_figure_is_rounded_or_unknown(
    caplog: pytest.LogCaptureFixture, given: Any, stored: int | None
) -> None:
    known, extra = figures({"llm_ms": given}, COLUMNS, "timings")
    assert known == {"llm_ms": stored}
    assert type(known["llm_ms"]) in (int, type(None))
    assert (extra, caplog.records) == ({}, [])


@pytest.mark.parametrize("odd", [MAX_FIGURE + 1, 3e12, True, "80", [80], {"p50": 80}])
def test_what_fits_no_column_is_kept_in_extra(odd: Any) -> None:
    assert figures({"llm_ms": odd, "asr_ms": 1}, COLUMNS, "timings") == (
        {"llm_ms": None, "asr_ms": 1},
        {"llm_ms": odd},
    )


def test_an_unknown_name_is_kept_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        found = figures({"vad_ms": 12.5, "eou_ms": None}, COLUMNS, "timings")
        assert found == ({}, {"vad_ms": 12.5, "eou_ms": None})
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        "timings.vad_ms",
        "timings.eou_ms",
    ]


@pytest.mark.parametrize("value", [object(), {1}, float("nan"), 10**400, "x" * 3000, {"a": {2}}])
def test_what_json_cannot_hold_is_dropped_with_a_warning(
    caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    assert figures({"vad_ms": value}, COLUMNS, "timings") == ({}, {})
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", ["ada@example.com", "", "a" * 101, "two words", 7, ("a",)])
def test_a_name_that_is_none_is_dropped_and_not_logged(
    caplog: pytest.LogCaptureFixture, name: Any
) -> None:
    assert figures({name: 1, "asr_ms": 2}, COLUMNS, "timings") == ({"asr_ms": 2}, {})
    [warning] = caplog.records
    assert "example" not in warning.getMessage()


def test_extra_is_bounded() -> None:
    _, extra = figures({f"n{n}": n for n in range(500)}, COLUMNS, "timings")
    assert len(extra) == MAX_EXTRA


@pytest.mark.parametrize("given", ["llm_ms", [("llm_ms", 1)], 7, {str(n): n for n in range(2000)}])
def test_what_is_no_dict_of_figures_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        figures(given, COLUMNS, "timings")
    assert error.value.details["field"] == "timings"


def test_no_figures_are_none() -> None:
    assert figures(None, COLUMNS, "timings") == ({}, {})
