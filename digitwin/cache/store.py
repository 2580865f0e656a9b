"""The operations that every store of the cache offers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from digitwin.cache import fields
from digitwin.cache.cache_table import CacheTable
from digitwin.cache.codecs import Codec
from digitwin.cache.fields import Audience, EntryKey
from digitwin.cache.loader import Loader
from digitwin.cache.locks import AdvisoryLocks
from digitwin.cache.many_keys import ManyKeys
from digitwin.cache.rows import CacheRow
from digitwin.cache.statistics import HitCounters
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation

In = TypeVar("In")
Out = TypeVar("Out")


class Store(ManyKeys[In, Out]):
    """Values by key, with a time to live; ``user_id`` and ``audience`` are part of the key.

    A value set for one person is never returned for another, nor an owner's for a visitor. An
    expired entry is not returned; the time to live counts from the write, by the database
    clock. Every call commits by itself, inside a transaction too.

    Every method validates its arguments and raises ``InvalidInputError``, which names the
    argument: ``key`` has 1 to 512 characters, ``user_id`` is a UUID or its string (None: the
    entry belongs to no person), ``audience`` is ``owner`` or ``visitor``.
    """

    def __init__(
        self,
        core: Core,
        table: CacheTable,
        codec: Codec[In, Out],
        counts: HitCounters,
        locks: AdvisoryLocks,
        *,
        ttl: float,
    ) -> None:
        super().__init__(core, table, codec, counts, ttl=ttl)
        self._loader = Loader(core, table, locks)

    @operation
    async def get(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> Out | None:
        """Return the value, or None if there is none or it has expired."""
        stored = await self._get(fields.entry_key(key, user_id, audience))
        return None if stored is None else self._codec.decode(stored)

    @operation
    async def set(
        self,
        key: str,
        value: In,
        *,
        ttl: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> None:
        """Store a value, replacing the current one; the last writer wins.

        The value is stored even if its sources were invalidated while it was computed. Use
        :meth:`get_or_create` where that matters.

        Args:
            ttl: time to live in seconds, 1 ms to 366 days; None means the store's default.
                It is shortened by a random share of up to ``cache_ttl_jitter`` (default 0.1),
                so that entries stored together do not expire together.
            tags: at most 32, of at most 200 characters, by which the entry can be invalidated.

        Raises:
            InvalidInputError: the value cannot be stored or is too large; names the bound.
            OutcomeUnknownError: the answer was lost; set it again.
        """
        entry_key = fields.entry_key(key, user_id, audience)
        terms = fields.ttl_and_tags(ttl, tags, self._ttl)
        await self._table.put(self._row(entry_key, value, *terms))

    @operation
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[In]],
        *,
        ttl: float | timedelta | None = None,
        stale_while_revalidate: float | timedelta | None = None,
        tags: Iterable[str] = (),
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> Out:
        """Return the value; if there is none, call ``factory`` and store its result.

        The factory runs once for a key, however many tasks in however many processes ask. In one
        handle they share its result or its error. It runs again elsewhere when its task is
        cancelled, when it raises, or when its process dies; and at the same time elsewhere when
        its process loses the connection that holds the locks. Where there is no such connection,
        as behind a pooler, each process runs its own factory, and a warning is logged. Factories
        that wait for each other's entries in a circle wait forever; one that asks for its own
        entry is refused.

        The factory runs outside any transaction and holds no connection of the pool. Its result
        is returned but not stored if the entry was invalidated or deleted since it began, if it
        took more than an hour, or if the database failed meanwhile, which is logged. ``None`` is
        a value like any other where the store accepts it.

        Args:
            factory: an async callable without arguments.
            ttl: as for :meth:`set`; it counts from the moment of storing.
            stale_while_revalidate: seconds after its expiry for which a value is still returned
                at once, while one call of ``factory`` replaces it in the background, in a task
                with an empty context. If that fails, it is logged and the next caller starts
                another. ``close()`` waits for it up to ``drain_timeout``.
            tags: as for :meth:`set`.

        Returns:
            The stored value, decoded: an equal value, not the factory's own object.

        Raises:
            InvalidInputError: an argument is invalid, or the factory's result cannot be stored.
            InvalidStateError: the factory asks for the entry that it makes.
            Exception: whatever the factory raises.
        """
        entry_key = fields.entry_key(key, user_id, audience)
        terms = (
            *fields.ttl_and_tags(ttl, tags, self._ttl),
            fields.stale_time(stale_while_revalidate),
        )
        return self._codec.decode(await self._get_or_create(entry_key, factory, *terms))

    @operation
    async def delete(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> bool:
        """Delete one entry; return whether it existed. A load under way is not stored."""
        return await self._table.delete(fields.entry_key(key, user_id, audience))

    @operation
    async def invalidate(self, *, tag: str | None = None, user_id: UUID | str | None = None) -> int:
        """Delete entries of both audiences; return how many existed.

        When it returns, no value that was stored or whose load began before is returned again.

        Args:
            tag: only entries with this tag.
            user_id: only this person's entries. Without either, the whole store is emptied.
        """
        return await self._table.invalidate(
            tag=None if tag is None else fields.tag(tag),
            user_id=None if user_id is None else fields.owner(user_id),
        )

    async def _get(self, entry_key: EntryKey) -> Any:
        """Return the stored form, or None; counts a hit or a miss."""
        stored = await self._table.get(entry_key)
        self._count(entry_key, stored)
        return stored

    async def _get_or_create(
        self,
        entry_key: EntryKey,
        factory: Callable[[], Awaitable[In]],
        ttl: float,
        tags: list[str],
        stale: float,
    ) -> Any:
        """Return the stored form."""
        if not callable(factory):
            raise _not_a_factory()
        stored = self._table.get_local(entry_key)
        if stored is not None:
            self._count(entry_key, stored)
            return stored
        stored, epochs, outdated = await self._table.lookup(entry_key, tags, stale)
        self._count(entry_key, stored)

        async def load() -> CacheRow:
            return self._row(entry_key, await _made_by(factory), ttl, tags, stale)

        if stored is None:
            return await self._loader.load(entry_key, tags, epochs, load)
        if outdated:
            self._loader.refresh(entry_key, tags, epochs, load)
        return stored

    async def close(self) -> None:
        """Cancel background refreshes; the handle calls this as it closes."""
        await self._loader.close()


async def _made_by(factory: Callable[[], Awaitable[In]]) -> In:
    """Call the factory and return its value; its own errors are the caller's.

    Raises:
        InvalidInputError: it is not an async callable.
    """
    made = factory()
    if not hasattr(type(made), "__await__"):
        raise _not_a_factory()
    return await made


def _not_a_factory() -> InvalidInputError:
    return InvalidInputError("factory must be an async callable", field="factory")
