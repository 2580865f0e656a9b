"""What was forgotten when, so that nothing made before is stored after.

Whoever stores a made value saw, before making it, the numbers (epochs) under which its targets
were last forgotten: the whole store, the person, the key, its tags. It stores only while it sees
no other number. Forgetting draws a new number. Locks keep the two apart: many may store at once,
but forgetting waits for those that have begun, and the next to store sees the new number.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b, sha256
from typing import Final, NamedTuple
from uuid import UUID

from digitwin.cache.fields import Place
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import load

KEPT: Final = 86_400.0
"""Seconds a mark is kept at least."""
LONGEST_FACTORY: Final = 3600.0
"""Seconds a factory may take and still have its value stored: far less than marks are kept."""

KINDS: Final = frozenset({"all", "user", "tag", "key"})
"""Of what can be forgotten as a whole."""

_SQL = load(__package__)


class Target(NamedTuple):
    """Something that can be forgotten as a whole."""

    store: str
    kind: str
    name: str = ""

    @property
    def lock(self) -> int:
        """The number of its advisory lock: one collision in 2^64 costs a moment's wait."""
        return lock_number(f"digitwin.cache {self.store} {self.kind} {self.name}")


def lock_number(name: str) -> int:
    """An advisory lock's number for a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def everything(store: str) -> Target:
    return Target(store, "all")


def person(store: str, user_id: UUID) -> Target:
    """By a digest: a mark outlives the person for a day."""
    return Target(store, "user", sha256(str(user_id).encode()).hexdigest())


def tagged(store: str, tag: str) -> Target:
    return Target(store, "tag", tag)


def entry(store: str, place: Place) -> Target:
    """By a digest: a key may be as long as a mark's name."""
    text = f"{place.user_id} {place.audience} {place.key}"
    return Target(store, "key", sha256(text.encode()).hexdigest())


def covering(store: str, place: Place, tags: Iterable[str]) -> list[Target]:
    """All by which an entry can be forgotten."""
    own = (everything(store), person(store, place.user_id), entry(store, place))
    return [*own, *(tagged(store, tag) for tag in tags)]


async def begin_storing(on: Statements, targets: Iterable[Target]) -> None:
    """Wait until none of the targets is being forgotten, and keep it so until the commit."""
    await on.fetch(_SQL["lock_shared"], _locks(targets))


async def forget(on: Statements, targets: Iterable[Target]) -> None:
    """Have nothing stored any more that was begun before; what is there is swept after this."""
    chosen = sorted(set(targets))
    await on.fetch(_SQL["lock"], _locks(chosen))
    await on.execute(_SQL["mark"], *(list(column) for column in zip(*chosen, strict=True)))


def _locks(targets: Iterable[Target]) -> list[int]:
    return sorted({target.lock for target in targets})
