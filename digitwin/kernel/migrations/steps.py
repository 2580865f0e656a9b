"""A migration as a list of steps, each safe beside the traffic of the release before.

A step is SQL. One that contains ``CONCURRENTLY`` is a single statement outside a transaction; every
other one is a transaction. Each can be run again after it was done, so that an interrupted
migration is continued by running it again.

Callers never wait for long and never meet a deadlock, because a step waits for at most one lock
while it holds none, and for a short time. CONTRIBUTING says what follows for whoever writes one;
``tests/migrations/test_rule.py`` reads every file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WAIT = "SET LOCAL lock_timeout = '50ms'"
_CONCURRENTLY = re.compile(r"\bCONCURRENTLY\s")
_BUILT = re.compile(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS \"?(\w+)")


def is_concurrent(step: str) -> bool:
    """Return whether the step runs outside a transaction."""
    return _CONCURRENTLY.search(step) is not None


def index_built(step: str) -> str | None:
    """Return the name of the index that a concurrent step builds, or None."""
    found = _BUILT.match(step.strip())
    return found[1] if found else None


def in_one_transaction(steps: Sequence[str]) -> str:
    """Return all steps as one script, for Aerich and for a database that was just created.

    It keeps the locks of all its tables to its end, and is not meant to run beside traffic.
    """
    script = ";\n".join(step.strip().rstrip(";") for step in (_WAIT, *steps))
    return _CONCURRENTLY.sub("", script) + ";\n"
