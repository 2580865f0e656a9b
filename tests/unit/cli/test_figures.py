"""Figures are laid out for a person: lines, tables, and no more than one reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from digitwin.cli.figures import MOST, lines, plain


@dataclass(frozen=True, slots=True)
class Stage:
    count: int
    p50: float | None


def laid_out(figures: object) -> list[str]:
    return list(lines(plain(figures)))


def test_figures_stand_in_lines_under_their_group() -> None:
    assert laid_out({"sessions": {"turns": 12345, "duration_seconds": 1.5}}) == [
        "sessions",
        "  turns             12,345",
        "  duration seconds  1.50",
    ]


def test_figures_of_the_same_parts_are_a_table() -> None:
    assert laid_out({"stages": {"asr_ms": Stage(3, 80.0), "llm_ms": Stage(12, None)}}) == [
        "stages",
        "          count    p50",
        "  asr ms      3  80.00",
        "  llm ms     12      -",
    ]


def test_a_list_of_the_same_parts_is_a_table_led_by_its_first_part() -> None:
    assert laid_out({"limits": [{"endpoint": "/a", "denied": 1}, {"endpoint": "/bc"}]}) == [
        "limits",
        "  endpoint  denied",
        "  /a             1",
        "  /bc            -",
    ]


def test_ids_and_days_are_told_as_text() -> None:
    assert laid_out({"by_user": {UUID(int=1): 2}, "by_day": {date(2026, 3, 1): 4}}) == [
        "by user",
        "  00000000-0000-0000-0000-000000000001  2",
        "by day",
        "  2026-03-01  4",
    ]


def test_what_is_empty_is_left_out() -> None:
    assert laid_out({"by_day": {}, "limits": [], "total": 0}) == ["total   0"]


def test_a_long_list_is_cut_and_says_so() -> None:
    text = laid_out({"days": {f"day {n}": n for n in range(MOST + 5)}})
    assert len(text) == MOST + 2
    assert text[-1] == "  … and 5 more"
