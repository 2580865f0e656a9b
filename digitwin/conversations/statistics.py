"""What a person's conversations add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from digitwin.conversations.fields import STAGES


@dataclass(frozen=True, slots=True)
class StageStatistics:
    """One stage's times over the turns that have it, in milliseconds.

    The percentiles are PostgreSQL's ``percentile_cont``, interpolated between neighbours, and
    None where no turn has the stage.
    """

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """Sums over sessions and their turns.

    ``duration_seconds`` adds up the sessions' lengths; one still open counts up to now, by
    the database's clock. ``stages`` has an entry for every stage of ``timings``.
    """

    sessions: int
    turns: int
    interruptions: int
    duration_seconds: float
    input_tokens: int
    output_tokens: int
    stages: Mapping[str, StageStatistics]


SUMS = ("sessions", "turns", "interruptions", "duration_seconds", "input_tokens", "output_tokens")

MEASURES = ", ".join(
    f"count({stage}) AS {stage}_count,"
    f" percentile_cont('{{0.5,0.95,0.99}}'::float8[]) WITHIN GROUP (ORDER BY {stage}) AS {stage}"
    for stage in STAGES
)
"""What the statement measures of each stage."""


def of(record: Mapping[str, Any]) -> SessionStatistics:
    """The statement's one row, as a value."""
    stages = {
        stage: StageStatistics(record[f"{stage}_count"], *(record[stage] or (None, None, None)))
        for stage in STAGES
    }
    return SessionStatistics(**{name: record[name] for name in SUMS}, stages=stages)
