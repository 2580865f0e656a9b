"""The common part of LangChain's key-value stores over a store of digitwin's cache."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

from langchain_core.stores import BaseStore
from pydantic import TypeAdapter

from digitwin.cache import fields
from digitwin.cache.store import Store
from digitwin.errors import InvalidInputError
from digitwin.integrations.langchain.bridge import Bridge
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import DEFERRED, Line, validate
from digitwin.kernel.repository.paging import Page

V = TypeVar("V")

MAX_KEYS: Final = 1_000_000
"""Keys of one call, in as many statements as the cache needs."""

_NAME: Final[TypeAdapter[str]] = TypeAdapter(Annotated[str, Line(128)], config=DEFERRED)


class EntryStore(BaseStore[str, V]):
    """Values of one person, audience and name, in a store of the cache.

    Every call works in statements of up to 1,000 keys, each of which is all or nothing.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        name: str,
        *,
        field: str,
        user_id: Any,
        audience: Any,
        ttl: float | timedelta | None,
        tags: Any,
    ) -> None:
        valid = validate(_NAME, name, field)
        _, given = fields.ttl_and_tags(ttl, tags, fields.MAX_TTL)
        self._prefix = f"langchain:{valid.replace('%', '%25').replace(':', '%3A')}:"
        self._store = store
        fields.owner(user_id)
        known = fields.audience_name(audience)
        self._whose: dict[str, Any] = {"user_id": user_id, "audience": known}
        self._terms: dict[str, Any] = {"ttl": ttl, "tags": given}
        self._bridge = Bridge()

    async def amget(self, keys: Sequence[str]) -> list[V | None]:
        """Return the values of keys, and None for each that is missing or has expired."""
        return await self._bridge.on_loop(self._get(keys))

    async def amset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """Store values; of two for one key the last."""
        await self._bridge.on_loop(self._set(key_value_pairs))

    async def amdelete(self, keys: Sequence[str]) -> None:
        """Delete keys; those that are missing are no error."""
        await self._bridge.on_loop(self._delete(keys))

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """Yield the living keys with a prefix, page by page, in the database's order."""
        after: str | None = None
        while True:
            page = await self._bridge.on_loop(self._page(prefix, after))
            for key in page.items:
                yield self._named(key)
            after = page.next_cursor
            if after is None:
                return

    def mget(self, keys: Sequence[str]) -> list[V | None]:
        """As :meth:`amget`, from a thread without the handle's loop."""
        return self._bridge.wait(self._get(keys))

    def mset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """As :meth:`amset`, from a thread without the handle's loop."""
        self._bridge.wait(self._set(key_value_pairs))

    def mdelete(self, keys: Sequence[str]) -> None:
        """As :meth:`amdelete`, from a thread without the handle's loop."""
        self._bridge.wait(self._delete(keys))

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """As :meth:`ayield_keys`, from a thread without the handle's loop."""
        after: str | None = None
        while True:
            page = self._bridge.wait(self._page(prefix, after))
            yield from map(self._named, page.items)
            after = page.next_cursor
            if after is None:
                return

    @abstractmethod
    def _entry_key(self, key: Any) -> str:
        """Return an entry's key, without the prefix; refuses what is no key."""

    @abstractmethod
    def _stored(self, value: Any) -> tuple[Any, int]:
        """Return what is stored of a value, and its size in bytes; refuses what is no value."""

    @abstractmethod
    def _value(self, stored: Any) -> V | None:
        """Return the value of what is stored; None if it is none of ours."""

    async def _get(self, keys: Any) -> list[V | None]:
        wanted = self._entry_keys(keys)
        found = await self._read(wanted)
        values = {key: self._value(stored) for key, stored in found.items()}
        return [values.get(key) for key in wanted]

    async def _read(self, keys: Sequence[str]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for some in _parts(keys):
            found |= await self._store.get_many(some, **self._whose)
        return found

    async def _set(self, pairs: Any) -> None:
        values: dict[str, Any] = {}
        sizes: dict[str, int] = {}
        for key, value in self._pairs(pairs):
            values[key], sizes[key] = self._stored(value)
        await self._write(values, sizes)

    async def _write(self, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        for some in _parts_by_size(values, sizes):
            await self._store.set_many(some, **self._whose, **self._terms)

    async def _delete(self, keys: Any) -> None:
        for some in _parts(self._entry_keys(keys)):
            await self._store.delete_many(some, **self._whose)

    async def _page(self, prefix: str | None, after: str | None) -> Page[str]:
        begins = self._prefix + ("" if prefix is None else text(prefix, "prefix"))
        return await self._store.keys(begins, limit=fields.MAX_KEYS, after=after, **self._whose)

    def _entry_keys(self, keys: Any) -> list[str]:
        given = listed(keys, "keys", at_most=MAX_KEYS, of="strings")
        return [self._prefix + self._entry_key(key) for key in given]

    def _pairs(self, pairs: Any) -> Iterator[tuple[str, Any]]:
        for pair in listed(pairs, "key_value_pairs", at_most=MAX_KEYS, of="pairs"):
            if type(pair) not in (tuple, list) or len(pair) != 2:
                raise InvalidInputError(
                    "key_value_pairs must be pairs of a key and a value", field="key_value_pairs"
                )
            yield self._prefix + self._entry_key(pair[0]), pair[1]

    def _named(self, key: str) -> str:
        return key.removeprefix(self._prefix)


def text(value: Any, field: str) -> str:
    """Return a string as Python's own type.

    Raises:
        InvalidInputError: it is none; names ``field``.
    """
    if not issubclass(type(value), str):
        raise InvalidInputError(f"{field} must be a string", field=field)
    return str.__str__(value)


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    """Yield keys, each once, in as many as one call of the cache takes."""
    rest = iter(dict.fromkeys(keys))
    while some := list(islice(rest, fields.MAX_KEYS)):
        yield some


def _parts_by_size(
    values: Mapping[str, Any], sizes: Mapping[str, int]
) -> Iterator[Mapping[str, Any]]:
    """Yield values in as many, and as large together, as one call of the cache takes."""
    some: dict[str, Any] = {}
    together = 0
    for key, value in values.items():
        if len(some) == fields.MAX_KEYS or (some and together + sizes[key] > fields.MAX_TOGETHER):
            yield some
            some, together = {}, 0
        some[key] = value
        together += sizes[key]
    if some:
        yield some
