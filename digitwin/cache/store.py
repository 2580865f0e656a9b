"""One kind of value, kept for a while: what every store of the cache can do."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from digitwin.cache import fields
from digitwin.cache.cache_table import Row, Shelf
from digitwin.cache.codecs import Codec
from digitwin.cache.fields import Audience, Place
from digitwin.cache.loader import Maker
from digitwin.cache.locks import Locks
from digitwin.cache.statistics import Counts
from digitwin.kernel.execution.core import Core, operation

In = TypeVar("In")
Out = TypeVar("Out")


class Store(Generic[In, Out]):
    """Values by key; ``user_id`` and ``audience`` are part of the key and looked at first.

    What was set for one person is never given to another, nor an owner's to a visitor. An entry
    is invisible once its time is over, which counts from the write by the database clock.
    Every call commits by itself, within a transaction too. All raise ``InvalidInputError`` with
    the field that does not fit: a key has 1 to 512 characters, ``user_id`` is a UUID or its
    string (None is nobody in particular), ``audience`` is ``owner`` or ``visitor``.
    """

    def __init__(
        self,
        core: Core,
        shelf: Shelf,
        codec: Codec[In, Out],
        counts: Counts,
        locks: Locks,
        *,
        ttl: float,
    ) -> None:
        self._core = core
        self._shelf = shelf
        self._codec = codec
        self._counts = counts
        self._ttl = ttl
        self._maker = Maker(core, shelf, locks)
        self._chance: Callable[[], float] = random.random
        """0 to 1: how much of the jitter the next entry gets."""

    @operation
    async def get(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> Out | None:
        """The value, or None when there is none or its time is over."""
        stored = await self._get(fields.place(key, user_id, audience))
        return None if stored is None else self._codec.decode(stored)

    @operation
    async def get_many(
        self,
        keys: Iterable[str],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> dict[str, Out]:
        """The values that are there, by key, in the order asked for; one statement.

        Args:
            keys: at most 1,000.
        """
        found = await self._get_many(keys, user_id, audience)
        return {key: self._codec.decode(stored) for key, stored in found.items()}

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
        """Store a value, in place of what was there; the last one to set it wins.

        It is stored whenever it comes: for a value made from what may change meanwhile, use
        :meth:`get_or_create`, which knows what was invalidated since.

        Args:
            ttl: seconds it lives at most, 1 ms to 366 days; None means the store's default.
                Entries stored together should not expire together: each lives shorter by a
                random part of ``cache_ttl_jitter``, a tenth as it comes.
            tags: at most 32, of at most 200 characters, by which it can be invalidated.

        Raises:
            InvalidInputError: the value cannot be stored or is too large; the bound is named.
            OutcomeUnknownError: the answer was lost; set it again.
        """
        place = fields.place(key, user_id, audience)
        terms = fields.terms(ttl, tags, self._ttl)
        await self._shelf.put(self._row(place, value, *terms))

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
        """The value; when there is none, what ``factory`` makes, stored for the next one.

        A factory runs once for a key, however many tasks of however many processes ask. In one
        handle they share its value or its error; another's runs when its task is cancelled,
        when its process fails or dies, and beside it when the process loses its connection for
        locks. Where no such connection is to be had, as behind a pooler, each process runs its
        own, which the log says. Factories that ask for each other's entries in a circle wait for
        ever; one that asks for its own is refused.

        A factory runs outside any transaction, and no connection of the pool is held for it. What
        it makes is given back, but not stored, when the entry was invalidated or deleted since it
        began, when it took more than an hour, or when the database failed meanwhile, which the
        log then says. ``None`` is a value like any other where the store takes it.

        Args:
            factory: an async callable without arguments.
            ttl, tags: as for :meth:`set`; the time to live counts from when it is stored.
            stale_while_revalidate: for so many seconds after its time a value is still given, at
                once, while one call of ``factory`` replaces it in the background, in a task of
                its own that inherits nothing; should it fail, the log says so and the next one
                who asks tries again. ``close()`` waits for it up to ``drain_timeout``.

        Raises:
            InvalidInputError: also when what the factory made cannot be stored.
            InvalidStateError: the factory asks for the very entry that it makes.
            Exception: whatever the factory raises.
        """
        place = fields.place(key, user_id, audience)
        terms = *fields.terms(ttl, tags, self._ttl), fields.stale_time(stale_while_revalidate)
        return self._codec.decode(await self._get_or_create(place, factory, *terms))

    @operation
    async def delete(
        self, key: str, *, user_id: UUID | str | None = None, audience: Audience = "owner"
    ) -> bool:
        """Drop one entry; whether it was there. What is being made for it is not stored."""
        return await self._shelf.take_out(fields.place(key, user_id, audience))

    @operation
    async def invalidate(self, *, tag: str | None = None, user_id: UUID | str | None = None) -> int:
        """Drop entries, of both audiences; how many there were.

        Those with the tag, those of the person, or those which have both; without either, the
        whole store. When it returns, nothing that was stored or begun before is to be had.
        """
        return await self._shelf.forget(
            tag=None if tag is None else fields.tag(tag),
            user_id=None if user_id is None else fields.owner(user_id),
        )

    async def _get(self, place: Place) -> Any:
        """The stored form, or None."""
        stored = await self._shelf.get(place)
        self._count(place, stored)
        return stored

    async def _get_many(
        self, keys: Iterable[str], user_id: UUID | str | None, audience: Audience
    ) -> dict[str, Any]:
        """The stored forms that are there, in the order asked for."""
        wanted = fields.distinct_keys(keys)
        owner, seen_by = fields.owner(user_id), fields.seen_by(audience)
        found = await self._shelf.get_many(owner, seen_by, wanted)
        for key in wanted:
            self._count(Place(owner, seen_by, key), found.get(key))
        return {key: found[key] for key in wanted if key in found}

    async def _get_or_create(
        self,
        place: Place,
        factory: Callable[[], Awaitable[In]],
        ttl: float,
        tags: list[str],
        stale: float,
    ) -> Any:
        """The stored form."""
        stored = self._shelf.remembered(place)
        if stored is not None:
            self._count(place, stored)
            return stored
        stored, epochs, outdated = await self._shelf.look(place, tags, stale)
        self._count(place, stored)

        async def make() -> Row:
            return self._row(place, await factory(), ttl, tags, stale)

        if stored is None:
            return await self._maker.make(place, tags, epochs, make)
        if outdated:
            self._maker.refresh(place, tags, epochs, make)
        return stored

    async def close(self) -> None:
        """End what still refreshes in the background; the handle calls this as it closes."""
        await self._maker.close()

    def _row(self, place: Place, value: In, ttl: float, tags: list[str], stale: float = 0.0) -> Row:
        stored, size = self._codec.encode(value)
        ttl *= 1 - self._core.settings.cache_ttl_jitter * self._chance()
        return Row(*place, stored, tags, size, max(ttl, fields.MIN_TTL), stale)

    def _count(self, place: Place, stored: object) -> None:
        if stored is None:
            self._counts.misses(self._shelf.name)
            return
        self._counts.hits(self._shelf.name)
        if self._shelf.counts_hits:
            self._counts.hit_of(place)
