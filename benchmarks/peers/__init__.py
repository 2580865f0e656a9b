"""The contestants: a module each, with a method for each operation that it offers.

The modules are imported in the process of their peer alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant, as the tables name it.

    Args:
        where: its module and class; empty if it is not in Python.
        packages: the distributions whose versions are reported.
        several: whether four processes of it are measured too.
    """

    title: str
    where: str = ""
    packages: tuple[str, ...] = ()
    several: bool = False

    def load(self) -> Any:
        """Return the class; its module is imported now."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(f"benchmarks.peers.{module}"), name)


NODE: Final = "node"

PEERS: Final = {
    "digitwin": Entry(
        "digitwin", "ours:Digitwin", ("digitwin", "tortoise-orm", "asyncpg"), several=True
    ),
    "scoped": Entry("digitwin, for_user", "ours:Scoped", several=True),
    "floor": Entry("asyncpg, held statement", "floor:Floor", ("asyncpg",), several=True),
    "pool": Entry("asyncpg, pool without reset", "floor:Pool", ("asyncpg",)),
    "bucket": Entry("asyncpg, simple bucket", "floor:SimpleBucket", ("asyncpg",)),
    NODE: Entry("node-pg", several=True),
    "psycopg": Entry("psycopg 3, autocommit", "psycopg3:Psycopg", ("psycopg",), several=True),
    "psycopg-begin": Entry("psycopg 3, BEGIN", "psycopg3:PsycopgBegin", ("psycopg",)),
    "tortoise": Entry("Tortoise", "tortoise_orm:PlainTortoise", ("tortoise-orm",)),
    "sqlalchemy": Entry("SQLAlchemy 2", "sqlalchemy_orm:SqlalchemyOrm", ("sqlalchemy",)),
    "throttled": Entry(
        "throttled-py on Redis", "throttled_py:ThrottledPy", ("throttled-py", "redis", "hiredis")
    ),
}
"""In the order of the tables."""
