"""Repository of memories: what a twin remembers of a person for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, cast
from uuid import UUID

from digitwin.errors import NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.repository.base import Repository
from digitwin.memories.fields import Audience, audience_name
from digitwin.memories.memory import Memory, MemoryHit
from digitwin.memories.models import StoredMemory
from digitwin.memories.operations import (
    DeleteMemory,
    FindMemory,
    ListNamespaces,
    Operation,
    PutMemory,
    Result,
    SearchMemories,
)
from digitwin.memories.planning import planned
from digitwin.memories.running import Whose, run


class MemoryRepository(Repository):
    """Values that are remembered of a person, each under a namespace and a key.

    A namespace is a path of labels, such as ``("preferences", "food")``: at most 100, none empty
    or with a period, 1,000 bytes with a period between each two. A key has 1 to 1,000 bytes. A
    value is a JSON object of at most 1 MiB.

    What is remembered for one ``audience`` is another memory than that for the other: a twin that
    talks to visitors finds nothing of what it was told by its ``owner``.
    """

    model: ClassVar[type[StoredMemory]] = StoredMemory
    runs_again: ClassVar[bool] = True

    @operation
    async def put(
        self,
        namespace: Sequence[str],
        key: str,
        value: Mapping[str, Any],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        ttl: float | timedelta | None = None,
        text: str | None = None,
        language: str | None = None,
    ) -> None:
        """Remember a value; it replaces what was under this namespace and key.

        Args:
            namespace: labels, from the root; at least one.
            key: 1 to 1,000 bytes.
            value: a JSON object.
            user_id: the owner; may be left out under ``for_user``.
            audience: for whom it is remembered.
            ttl: seconds after which it is forgotten, 1 ms to 100 years; None: never. A reader can
                have them count anew.
            text: what a search's words are looked for in, up to 200,000 characters; empty:
                nothing. None: every text within the value.
            language: of the text, such as ``de-CH``; English if it is None.

        Raises:
            InvalidInputError: names the argument that is invalid.
            NotFoundError: the owner is missing or deleted, or is not the scope's.
        """
        put = PutMemory(namespace, key, value, ttl, text, language)
        await self._run([put], user_id, audience)

    @operation
    async def get(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> Memory:
        """Return a memory; arguments as of :meth:`find`.

        Raises:
            NotFoundError: there is none, or it has expired.
            InvalidInputError: names the argument that is invalid.
        """
        found = await self._find(FindMemory(namespace, key, refresh), user_id, audience)
        if found is None:
            # Their own: that there is none is no refusal to be recorded
            owner = self._require_owner(user_id)
            raise NotFoundError("memory not found", field="key", user_id=str(owner))
        return found

    @operation
    async def find(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> Memory | None:
        """Return a memory, or None.

        Args:
            namespace: labels, from the root.
            key: its key there.
            user_id: the owner; may be left out under ``for_user``.
            audience: for whom it is remembered.
            refresh: whether its time to live counts anew; to a hundredth of it, which spares
                writes.

        Raises:
            InvalidInputError: names the argument that is invalid.
            NotFoundError: ``user_id`` is not the scope's.
        """
        return await self._find(FindMemory(namespace, key, refresh), user_id, audience)

    @operation
    async def delete(
        self,
        namespace: Sequence[str],
        key: str,
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> bool:
        """Forget a memory for good; arguments as of :meth:`find`.

        Returns:
            Whether there was one.

        Raises:
            InvalidInputError: names the argument that is invalid.
            NotFoundError: ``user_id`` is not the scope's.
        """
        [done] = await self._run([DeleteMemory(namespace, key)], user_id, audience)
        return cast(bool, done)

    @operation
    async def search(
        self,
        prefix: Sequence[str] = (),
        *,
        query: str | None = None,
        filter: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
        refresh: bool = False,
    ) -> list[MemoryHit]:
        """Return the memories in a namespace and below it, the last put first.

        A query puts those first that have its words, the best at the top: rare words weigh more.
        It leaves none out. Words are compared by the stem of a memory's language, ignoring case
        and accents.

        A filter is a JSON object, of which a memory must have every field with an equal value; an
        object within it is compared in the same way, a list item by item. ``{"$gt": 3}`` in place
        of a value compares numbers; so do ``$gte``, ``$lt`` and ``$lte``, and numbers that are
        written as text count too. ``$eq`` and ``$ne`` compare any values. A missing field is null,
        and ``true`` is not 1.

        Args:
            prefix: labels, from the root; none: everywhere.
            query: up to 4,000 characters; of more than 32 words the longest count.
            filter: at most 100 conditions.
            limit: maximum number of hits, 1 to 1,000.
            offset: hits to leave out first, up to 1,000,000.
            user_id: the owner; may be left out under ``for_user``.
            audience: for whom it is remembered.
            refresh: whether the time to live of what is returned counts anew.

        Raises:
            InvalidInputError: names the argument that is invalid.
            NotFoundError: ``user_id`` is not the scope's.
        """
        search = SearchMemories(prefix, query, filter, limit, offset, refresh)
        [hits] = await self._run([search], user_id, audience)
        return cast("list[MemoryHit]", hits)

    @operation
    async def namespaces(
        self,
        *,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> list[tuple[str, ...]]:
        """Return the namespaces in which something is remembered, sorted.

        Args:
            prefix: labels with which they begin; ``*`` stands for any label.
            suffix: labels with which they end, in the same way.
            max_depth: longer ones are cut to so many labels, 1 to 100.
            limit: maximum number of namespaces, 1 to 1,000.
            offset: namespaces to leave out first, up to 1,000,000.
            user_id: the owner; may be left out under ``for_user``.
            audience: for whom it is remembered.

        Raises:
            InvalidInputError: names the argument that is invalid.
            NotFoundError: ``user_id`` is not the scope's.
        """
        listing = ListNamespaces([prefix], [suffix], max_depth, limit, offset)
        [found] = await self._run([listing], user_id, audience)
        return cast("list[tuple[str, ...]]", found)

    @operation
    async def batch(
        self,
        operations: Iterable[Operation],
        *,
        user_id: UUID | str | None = None,
        audience: Audience = "owner",
    ) -> list[Result]:
        """Do several things in one transaction: all, or none.

        What reads comes first, and sees nothing of what is written. Of several writes to one
        namespace and key, the last one counts.

        Args:
            operations: at most 1,000, with values of 16 MiB together.
            user_id: the owner; may be left out under ``for_user``.
            audience: for whom it is remembered.

        Returns:
            The result of each, in their order.

        Raises:
            InvalidInputError: names the argument that is invalid, of whichever operation.
            NotFoundError: the owner of what is put is missing or deleted, or is not the scope's.
        """
        return await self._run(operations, user_id, audience)

    async def _find(
        self, finding: FindMemory, user_id: UUID | str | None, audience: Audience
    ) -> Memory | None:
        [found] = await self._run([finding], user_id, audience)
        return cast("Memory | None", found)

    async def _run(
        self,
        operations: Iterable[Operation],
        user_id: UUID | str | None,
        audience: Audience,
    ) -> list[Result]:
        whose = Whose(self._require_owner(user_id), audience_name(audience))
        plan = planned(operations)
        if plan.is_one_statement:
            return await run(self._core.db, whose, plan)
        async with self._core.transaction():
            return await run(self._core.db, whose, plan)
