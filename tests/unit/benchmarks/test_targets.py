"""What counts as a target met, and which figures are shown."""

from __future__ import annotations

from typing import Any

import pytest

operations = pytest.importorskip("benchmarks.operations")
report = pytest.importorskip("benchmarks.report")
results = pytest.importorskip("benchmarks.results")

BY_EMAIL = operations.OPERATIONS["user_by_email"]


def figures(p50: float, rate: float = 1000) -> Any:
    return results.Figures(p50=p50, p99=2 * p50, calls=100, rate=rate)


def section(name: str, row: dict[str, Any]) -> Any:
    return results.Section(name, name.title(), "18.4", {BY_EMAIL.name: row})


def verdict(goal: str, **row: Any) -> Any:
    return results.verdicts(BY_EMAIL, row)[goal]


@pytest.mark.parametrize(("ours", "met"), [(149, True), (151, False)])
def test_a_call_may_take_so_many_times_a_held_statement(ours: float, met: bool) -> None:
    found = verdict("held", digitwin=figures(ours), floor=figures(100))
    assert (found.wanted, found.met) == (1.5, met)


@pytest.mark.parametrize(("theirs", "met"), [(106, True), (104, False)])
def test_being_ahead_with_one_caller_is_a_shorter_time(theirs: float, met: bool) -> None:
    assert verdict("node", digitwin=figures(100), node=figures(theirs)).met is met


@pytest.mark.parametrize(("theirs", "met"), [(990, True), (1010, False)])
def test_being_ahead_with_many_callers_is_a_higher_rate(theirs: float, met: bool) -> None:
    row = {"digitwin": figures(100, 1000), "node": figures(100, theirs)}
    assert verdict("node_32", **row).met is met


@pytest.mark.parametrize(("scoped", "met"), [(139, True), (141, False)])
def test_a_scope_is_compared_with_the_same_call_unscoped(scoped: float, met: bool) -> None:
    assert verdict("scoped", digitwin=figures(100), scoped=figures(scoped)).met is met


def test_a_limit_on_the_figure_itself_needs_no_other_peer() -> None:
    slow = results.Figures(p50=1, p99=1, calls=1, p99_many=150_001)
    found = results.verdicts(operations.ONE_SESSION, {"digitwin": slow})
    assert [each.met for each in found.values()] == [False]


def test_what_was_not_measured_is_not_judged() -> None:
    assert results.verdicts(BY_EMAIL, {"digitwin": figures(100)}) == {}


def test_verdicts_are_in_words() -> None:
    assert str(verdict("held", digitwin=figures(200), floor=figures(100))) == "2.00 (≤ 1.50) missed"
    assert str(verdict("node", digitwin=figures(100), node=figures(130))) == "1.30 (≥ 1.05) met"


def test_several_runs_give_their_median_and_not_the_best() -> None:
    runs = [section("shared", {"digitwin": figures(p50)}) for p50 in (90, 120, 500)]
    assert results.median_of(runs).rows[BY_EMAIL.name]["digitwin"].p50 == 120


def test_the_readme_shows_the_setting_with_more_missed_targets() -> None:
    good = section("shared", {"digitwin": figures(100), "floor": figures(100)})
    bad = section("apart", {"digitwin": figures(200), "floor": figures(100)})
    for sections in ([good, bad], [bad, good]):
        found = results.Report("2026-01-01", "a machine", {}, 3, sections)
        assert found.stricter is bad
        assert "2.00 times a held statement, wanted at most 1.50" in report.excerpt(found)


def test_the_page_says_of_each_target_whether_it_is_met() -> None:
    row = {"digitwin": figures(140, 900), "floor": figures(100), "node": figures(100, 900)}
    page = report.page(results.Report("2026-01-01", "", {}, 3, [section("shared", row)]))
    assert (
        "| user by e-mail | 1.40 (≤ 1.50) met | 0.71 (≥ 1.05) missed | 1.00 (≥ 1.00) met |" in page
    )
    assert "2 of 3 targets are met. Missed:" in page


def test_each_of_several_processes_begins_with_another_person() -> None:
    size = pytest.importorskip("benchmarks.filling").Size()
    parts = [BY_EMAIL.arguments(size, part) for part in range(operations.PROCESSES)]
    assert len({part[0] for part in parts}) == operations.PROCESSES
    assert len({tuple(sorted(map(str, part))) for part in parts}) == 1


def test_every_operation_has_targets_and_every_target_a_goal() -> None:
    for operation in operations.ALL.values():
        assert operation.targets
        assert operation.targets.keys() <= operations.GOALS.keys()
