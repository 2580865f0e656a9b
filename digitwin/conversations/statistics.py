"""Statistics of sessions and turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from digitwin.conversations.content.totals import UsageSums, sums
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
    """Totals over sessions, their turns and their usage records.

    ``duration_seconds`` is the total length of the sessions; an active one counts up to now, by
    the database clock. ``input_tokens`` are all tokens that were read: those in the ``usage`` of
    the turns, and of the usage records the sum of all input buckets, cached ones and audio
    included; ``output_tokens`` in the same way. ``stages`` has an entry for every stage of
    ``timings``, ``usage`` the sums of the usage records alone, bucket by bucket.
    """

    sessions: int
    turns: int
    interruptions: int
    duration_seconds: float
    input_tokens: int
    output_tokens: int
    stages: Mapping[str, StageStatistics]
    usage: UsageSums = UsageSums()  # noqa: RUF009 - immutable

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the statistics in the one row of the statement ``statistics``."""
        stages = {
            stage: StageStatistics(record[f"{stage}_count"], *(record[stage] or (None,) * 3))
            for stage in STAGES
        }
        usage = UsageSums.from_record(record, prefix="usage_")
        totals = {f.name: record[f.name] for f in fields(cls) if f.name not in ("stages", "usage")}
        totals["input_tokens"] += usage.total_input_tokens
        totals["output_tokens"] += usage.total_output_tokens
        return cls(**totals, stages=stages, usage=usage)


STAGE_AGGREGATES = ", ".join(
    f"count({stage}) AS {stage}_count,"
    f" percentile_cont('{{0.5,0.95,0.99}}'::float8[]) WITHIN GROUP (ORDER BY {stage}) AS {stage}"
    for stage in STAGES
)
"""The columns that the statement ``statistics`` computes of each stage."""
USAGE_AGGREGATES = sums("usage_")
"""Those that it computes of usage records."""
