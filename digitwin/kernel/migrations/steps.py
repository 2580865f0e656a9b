"""A migration as a list of steps, each safe beside the traffic of the release before.

A step is SQL text. One that contains ``CONCURRENTLY`` is a single statement, and runs outside a
transaction; every other one is a transaction. Each step can be run again after it was done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"
"""Shorter than ``deadlock_timeout``, so that a migration gives up before a caller does."""

_CONCURRENTLY = re.compile(r"\bCONCURRENTLY\s")


def in_one_transaction(steps: Sequence[str]) -> str:
    """Return all steps as one script, for Aerich and for a database that was just created.

    It locks every table at once, and is not meant to run beside traffic.
    """
    script = ";\n".join(step.strip().rstrip(";") for step in (LOCK_TIMEOUT, *steps))
    return _CONCURRENTLY.sub("", script) + ";\n"
