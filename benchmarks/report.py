"""The figures as Markdown: the page of a run, the README's part, and what the terminal shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.operations import ALL, GOALS, GROWTH, ONE_SESSION, Goal
from benchmarks.peers import PEERS
from benchmarks.results import (
    FOLDER,
    Figures,
    Report,
    Section,
    Verdict,
    missed,
    newest,
    newest_growth,
    number,
    of_section,
    start_verdicts,
    verdicts,
)

README: Final = Path(__file__).parents[1] / "README.md"
MARKS: Final = ("<!-- measured -->\n", "<!-- /measured -->")
SHOWN: Final = ("digitwin", "scoped", "floor", "node", "psycopg")
"""The peers of the README's table."""


NOTHING: Final = "No figures are stored. `make bench-publish` measures them and writes them here."


def write() -> None:
    """Write the page that always shows what is stored, and the README's part."""
    report = newest()
    (FOLDER / "latest.md").write_text(page(report, newest_growth()), "utf-8")
    README.write_text(in_readme(README.read_text("utf-8"), report), "utf-8")


def in_readme(text: str, report: Report | None) -> str:
    """The README with the figures of a report between its marks."""
    part = re.compile(f"(?<={MARKS[0]}).*?(?={MARKS[1]})", re.DOTALL)
    return part.sub(lambda _: excerpt(report), text)


def excerpt(report: Report | None) -> str:
    """The README's part: the stricter of the two core settings."""
    if report is None:
        return f"{NOTHING}\n"
    section = report.stricter
    lines = [
        f"{_under(report)}, PostgreSQL {section.server}, uvloop.",
        f"{section.title}: of two core settings, the one under which digitwin misses more targets.",
        "",
        *overview(section, "p50", "µs a call, one caller", SHOWN),
        "",
        *overview(section, "rate", "calls/s, 32 callers in one process", SHOWN),
        "",
        *failures(_beside(report, section)),
        "",
        "[All figures](benchmarks/results/latest.md): both settings, TLS, p99, four processes,",
        "processor time, versions, what is left out. Charts:",
        "[one caller](docs/images/speed-one-caller.svg),",
        "[32 callers](docs/images/speed-32-callers.svg).",
    ]
    return "\n".join([*lines, ""])


def _beside(report: Report, section: Section) -> list[Verdict]:
    """The targets of a section, and those that do not depend on it."""
    others = [each for each in report.sections if ONE_SESSION.name in each.rows]
    found = [verdict for each in [section, *others] for verdict in of_section(each)]
    return found + start_verdicts(report.starts)


def page(report: Report | None, grown: Mapping[str, Any] | None = None) -> str:
    """The page of a run, and of the growth."""
    lines = [_TITLE, "", NOTHING, ""] if report is None else _of_run(report)
    if grown is not None:
        lines += [f"## As the tables grow: {grown['date']}, {grown['machine']}", ""]
        lines += [*growth(grown["median_us"]), ""]
    return "\n".join(lines)


def _of_run(report: Report) -> list[str]:
    lines = [_TITLE, "", f"{_under(report)}.", "", _versions(report), ""]
    lines += [f"Left out: {reason}.\n" for reason in report.left_out]
    lines += [*_HEAD, ""]
    for section in report.sections:
        lines += [f"## {section.title}, PostgreSQL {section.server}", ""]
        lines += [*targets(section), "", *failures(of_section(section)), "", *_details(section)]
    if report.starts:
        lines += ["## First use, on a running server", "", *starts(report), ""]
    return lines


_TITLE: Final = "# Speed, as measured"
_HEAD: Final = """\
Times are microseconds of a call. A held statement is raw asyncpg with one connection that is held
and a prepared statement of its own, which sends what digitwin sends. Rates are calls a second of 32
tasks on ten connections (of ten tasks for held statements, which more would only queue for), and of
four processes with 8 tasks each. Processor time is of 1,000 calls where many call: what a cloud
bills. Made by `make bench-publish`; `benchmarks/README.md` says what is compared, and how.
""".splitlines()


def _under(report: Report) -> str:
    runs = "one run" if report.runs == 1 else f"the median of {report.runs} runs"
    return f"{report.date}, {runs}, {report.machine}"


def _versions(report: Report) -> str:
    return ", ".join(f"{name} {version}" for name, version in report.versions.items()) + "."


def targets(section: Section) -> Iterator[str]:
    """A table of what was found for each target, with what is wanted."""
    found = {name: verdicts(ALL[name], row) for name, row in section.rows.items()}
    goals = [name for name in GOALS if any(name in each for each in found.values())]
    if not goals:
        return
    yield f"| target | {' | '.join(GOALS[name].title for name in goals)} |"
    yield f"|---|{'---|' * len(goals)}"
    for operation, each in found.items():
        cells = [str(each.get(name, "")) for name in goals]
        yield f"| {ALL[operation].title} | {' | '.join(cells)} |"


def failures(found: Sequence[Verdict]) -> Iterator[str]:
    """In words, how many targets are met, and which are not."""
    lost = missed(found)
    if found:
        met = f"{len(found) - len(lost)} of {len(found)} targets are met."
        yield from ([f"{met} Missed:", ""] if lost else [met])
    yield from (f"- {_words(each)}" for each in lost)


def _words(verdict: Verdict) -> str:
    return (
        f"{verdict.subject}: {number(verdict.found)} {verdict.goal.words},"
        f" wanted {verdict.goal.bound} {number(verdict.wanted)}"
    )


def starts(report: Report) -> Iterator[str]:
    """A table of first uses, and its targets."""
    yield "| a fresh process | seconds to its first result | milliseconds to connect |"
    yield "|---|---:|---:|"
    for name, each in report.starts.items():
        yield f"| {PEERS[name].title} | {each.first:.2f} | {each.connect:.0f} |"
    yield ""
    for verdict in start_verdicts(report.starts):
        yield f"- {verdict.goal.title}: {verdict}"


def overview(section: Section, column: str, title: str, peers: Sequence[str]) -> Iterator[str]:
    """A table of one figure: a line for each operation, a column for each peer that has it."""
    found = {
        name: {peer: getattr(figures, column) for peer, figures in row.items()}
        for name, row in section.rows.items()
    }
    peers = [peer for peer in peers if any(row.get(peer) is not None for row in found.values())]
    if not peers:
        return
    yield f"| {title} | {' | '.join(PEERS[name].title for name in peers)} |"
    yield f"|---|{'---:|' * len(peers)}"
    for name, row in found.items():
        cells = [_shown(row.get(peer)) for peer in peers]
        yield f"| {ALL[name].title} | {' | '.join(cells)} |"


def growth(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """A table of medians in small tables and in large ones."""
    (first, *_, last) = steps = [*next(iter(next(iter(found.values())).values()))]
    yield f"| µs a call, one caller | {' | '.join(f'{int(n):,} rows' for n in steps)} | growth |"
    yield f"|---|{'---:|' * len(steps)}---|"
    for name, peers in found.items():
        for peer, medians in peers.items():
            times = medians[last] / medians[first]
            goal = Goal("growth", "p50", "", "", "at most")
            verdict = Verdict(ALL[name].title, goal, times, GROWTH)
            cells = " | ".join(f"{medians[rows]:.0f}" for rows in steps)
            yield f"| {ALL[name].title}, {PEERS[peer].title} | {cells} | {verdict} |"


def _details(section: Section) -> Iterator[str]:
    for name, row in section.rows.items():
        callers = ALL[name].callers
        yield from (f"### {ALL[name].title}", "")
        yield (
            f"| | p50, µs | p99, µs | times held | {callers} callers: calls/s | p50, µs | p99, µs"
            " | 4 × 8: calls/s | client's CPU s | server's CPU s |"
        )
        yield f"|---|{'---:|' * 9}"
        for peer, figures in row.items():
            title = PEERS[peer].title
            cells = _cells(figures, row.get("floor"))
            yield f"| {f'**{title}**' if peer == 'digitwin' else title} | {' | '.join(cells)} |"
        yield ""


def _cells(figures: Figures, floor: Figures | None) -> list[str]:
    return [
        _shown(figures.p50),
        _shown(figures.p99),
        f"{figures.p50 / floor.p50:.2f}" if floor else "",
        _shown(figures.rate),
        _shown(figures.p50_many),
        _shown(figures.p99_many),
        _shown(figures.rate_4x8),
        _shown(figures.client_cpu),
        _shown(figures.server_cpu),
    ]


def _shown(value: float | None) -> str:
    return "" if value is None else number(value)
