"""Statistics of sessions and turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from digitwin.conversations.fields import STAGES


@dataclass(frozen=True, slots=True)
class StageStatistics:
    """Milliseconds of one stage over the turns that have it.

    The percentiles are PostgreSQL's ``percentile_cont``, interpolated between neighbours; None
    if no turn has the stage.
    """

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """Totals over sessions and their turns.

    ``duration_seconds`` is the total length of the sessions; an active one counts up to now, by
    the database clock. ``stages`` has an entry for every stage of ``timings``.
    """

    sessions: int
    turns: int
    interruptions: int
    duration_seconds: float
    input_tokens: int
    output_tokens: int
    stages: Mapping[str, StageStatistics]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the statistics in the one row of the statement ``statistics``."""
        stages = {
            stage: StageStatistics(record[f"{stage}_count"], *(record[stage] or (None,) * 3))
            for stage in STAGES
        }
        totals = (field.name for field in fields(cls) if field.name != "stages")
        return cls(**{name: record[name] for name in totals}, stages=stages)


STAGE_AGGREGATES = ", ".join(
    f"count({stage}) AS {stage}_count,"
    f" percentile_cont('{{0.5,0.95,0.99}}'::float8[]) WITHIN GROUP (ORDER BY {stage}) AS {stage}"
    for stage in STAGES
)
"""The columns that the statement ``statistics`` computes of each stage."""
