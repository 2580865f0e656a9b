"""What was invalidated, and how a value loaded before that is kept from being stored after it.

Before a load, its caller reads the epochs of every target that covers the entry: the whole
store, the person, the key, its tags. An invalidation draws a new epoch for its target. The
loaded value is stored only while the epochs are still the same. Advisory locks order the two:
loads store under shared locks, an invalidation waits for those that have begun to store, and
the next to store sees the new epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from typing import Final, NamedTuple
from uuid import UUID

from digitwin.cache.fields import EntryKey
from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries

RETENTION: Final = 86_400.0
"""Seconds for which an invalidation is kept at least."""
LONGEST_FACTORY: Final = 3600.0
"""Seconds a factory may take for its value to be stored: far less than ``RETENTION``."""

MOST_LOCKS: Final = 64
"""Tags or keys of a store that are locked one by one."""

KINDS: Final = frozenset({"all", "user", "tag", "key"})
"""Of targets."""

QUERIES = Queries(__package__)


class InvalidationTarget(NamedTuple):
    """A set of entries that is invalidated as a whole."""

    store: str
    kind: str
    name: str = ""

    @property
    def lock(self) -> int:
        """The number of its advisory lock; a collision (one in 2^64) costs a moment's wait."""
        return lock_number(f"digitwin.cache {self.store} {self.kind} {self.name}")


def lock_number(name: str) -> int:
    """Return an advisory lock's number for a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def store_target(store: str) -> InvalidationTarget:
    """Return the target of a whole store."""
    return InvalidationTarget(store, "all")


def person_target(store: str, user_id: UUID) -> InvalidationTarget:
    """Return a person's target, named by a digest: its row outlives the person by a day."""
    return InvalidationTarget(store, "user", sha256(str(user_id).encode()).hexdigest())


def tag_target(store: str, tag: str) -> InvalidationTarget:
    """Return a tag's target."""
    return InvalidationTarget(store, "tag", tag)


def entry_target(store: str, entry_key: EntryKey) -> InvalidationTarget:
    """Return one entry's target, named by a digest: a key may be as long as a target's name."""
    text = f"{entry_key.user_id} {entry_key.audience} {entry_key.key}"
    return InvalidationTarget(store, "key", sha256(text.encode()).hexdigest())


def targets_of(store: str, entry_key: EntryKey, tags: Iterable[str]) -> list[InvalidationTarget]:
    """Return every target that covers an entry."""
    return [
        store_target(store),
        person_target(store, entry_key.user_id),
        entry_target(store, entry_key),
        *(tag_target(store, tag) for tag in tags),
    ]


class Forgotten(NamedTuple):
    """Entries that a transaction deletes with what they were made from: a person's, or of tags."""

    store: str
    user_id: UUID | None = None
    tags: tuple[str, ...] = ()

    @property
    def targets(self) -> list[InvalidationTarget]:
        """The targets that cover them."""
        person = [] if self.user_id is None else [person_target(self.store, self.user_id)]
        return person + [tag_target(self.store, tag) for tag in self.tags]


async def lock_shared(on: Statements, targets: Iterable[InvalidationTarget]) -> None:
    """Wait for running invalidations of the targets, and block new ones until the commit."""
    await on.fetch(QUERIES["lock_shared"], locks=_locks(targets))


async def record(on: Statements, targets: Iterable[InvalidationTarget]) -> None:
    """Give the targets new epochs, so that loads begun before are not stored.

    The rows that exist are to be deleted after it.
    """
    chosen = sorted(set(targets))
    await on.fetch(QUERIES["lock"], locks=_locks(_few(chosen)))
    await on.execute(
        QUERIES["record_invalidations"],
        stores=[target.store for target in chosen],
        kinds=[target.kind for target in chosen],
        names=[target.name for target in chosen],
    )


def _few(targets: Iterable[InvalidationTarget]) -> Iterator[InvalidationTarget]:
    """Replace many tags or keys of a store by the whole store, whose lock covers them all.

    The server has room for some thousand locks. A person keeps a lock of their own: that is the
    one on which a ``set`` waits for an erasure.
    """
    many: dict[str, list[InvalidationTarget]] = {}
    for target in targets:
        if target.kind in ("tag", "key"):
            many.setdefault(target.store, []).append(target)
        else:
            yield target
    for store, chosen in many.items():
        yield from chosen if len(chosen) <= MOST_LOCKS else [store_target(store)]


def _locks(targets: Iterable[InvalidationTarget]) -> list[int]:
    return sorted({target.lock for target in targets})
