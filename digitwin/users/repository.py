"""Repository of users: unique by e-mail, deleted and restored with everything they own."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

from typing_extensions import Unpack

from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.kernel.execution.core import Core, operation, streaming
from digitwin.kernel.orm.active_handle import Found
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import dumps, validate
from digitwin.kernel.repository.entities import (
    EntityRepository,
    refuse_repeated_ids,
    row_dicts,
    taken,
)
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository, deletion_event
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.audit_step import parameters
from digitwin.kernel.sql.queries import Queries, Query
from digitwin.users import cascade
from digitwin.users.emails import normalised, unique_form
from digitwin.users.fields import (
    CHANGES,
    DELETION_FILTERS,
    FILTERS,
    NEW,
    NewUser,
    NewUserRow,
    UserChanges,
    UserFilters,
)
from digitwin.users.models import Deletion, User

QUERIES = Queries(__package__, table="users")

MAX_DELETED: Final = 100
"""Users that a queryset's ``delete()`` deletes at once: each with everything they own."""


class UserRepository(SoftDeleteRepository[User]):
    """Repository of users, the owners of twins (``db.users``).

    Fields: ``email`` (unique among users who are not deleted, without regard to case),
    ``name``, ``personality_traits`` (list of str), ``settings`` (dict: the preferences),
    ``subscription_tier`` (free, pro, enterprise).
    """

    model, noun = User, "user"
    most_at_once = MAX_DELETED
    new, changes, filters = NEW, CHANGES, FILTERS

    def __init__(self, core: Core, *, scope: UUID | None = None, cache: CacheForgetter) -> None:
        super().__init__(core, scope=scope)
        self._cache = cache
        self._events = _Deletions(core, scope=scope)

    @operation
    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewUser]) -> User:
        """Create a user; atomic. Of concurrent calls with one e-mail, one succeeds.

        Args:
            id: a UUID made by the caller makes a retry safe.
            **fields: see :class:`NewUser`.

        Returns:
            The new user.

        Raises:
            AlreadyExistsError: ``email`` belongs to another user, or ``id`` is taken; an open
                transaction stays usable. ``details["id"]`` is the user who has it, unless this
                scope may not see them.
            InvalidInputError: names the missing, unknown or invalid field.
        """
        given = self._new_user(id, fields)
        record = await self._core.db.fetchrow(QUERIES["create"], **given)
        if record is None:
            raise await self._taken([given["id"]], [given["address"]])
        return self._row(record)

    @operation
    async def create_many(self, rows: Iterable[NewUserRow]) -> list[User]:
        """Create up to 10,000 users; all or none.

        Args:
            rows: see :class:`NewUserRow`.

        Returns:
            The new users, in the order of the rows.

        Raises:
            As :meth:`create`.
        """
        made = [self._new_user(row.pop("id", None), row) for row in row_dicts(rows)]
        refuse_repeated_ids(made)
        if not made:
            return []
        columns = {name: [user[name] for user in made] for name in made[0]}
        try:
            async with self._savepoint():
                records = await self._core.db.fetch(
                    QUERIES["create_many"], **columns, **parameters(len(made))
                )
        except AlreadyExistsError as error:
            raise await self._taken(columns["id"], columns["address"]) from error
        users = {record["id"]: self._row(record) for record in records}
        return [users[user["id"]] for user in made]

    @operation
    async def get_by_email(self, email: str) -> User:
        """Return the user with this e-mail, compared without regard to case.

        A domain is the same in letters and as its A-label: ``münchen.de``, ``xn--mnchen-3ya.de``.

        Raises:
            NotFoundError: no user has it, or the user is deleted.
            InvalidInputError: it is not an e-mail address.
        """
        user = await self._by_email(email)
        if user is None:
            raise NotFoundError("user not found", field="email")
        return user

    @operation
    async def find_by_email(self, email: str) -> User | None:
        """Return the user with this e-mail, or None.

        Raises:
            InvalidInputError: it is not an e-mail address.
        """
        return await self._by_email(email)

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[UserFilters],
    ) -> Page[User]:
        """Return a page of users, oldest first.

        Args:
            limit: rows per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            include_deleted: return deleted users too.
            **filters: see :class:`UserFilters`.

        Raises:
            InvalidInputError: names the invalid limit, cursor or filter.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> AsyncGenerator[User, None]:
        """Yield all users that match, oldest first, in constant memory.

        Holds a connection and a server-side cursor until it is exhausted or closed.
        """
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[UserChanges],
    ) -> User:
        """Change fields of a user; atomic.

        Args:
            expected_version: refuse the update if the row has another version.
            **changes: see :class:`UserChanges`.

        Returns:
            The updated user.

        Raises:
            NotFoundError: there is no such user.
            StaleVersionError: the row does not have ``expected_version``.
            AlreadyExistsError: the new ``email`` belongs to another user (``id`` in the details,
                unless this scope may not see them); an open transaction stays usable.
            InvalidInputError: names the unknown or invalid field, or none is given.
        """
        if "email" not in changes:
            return await self._update(id, changes, expected_version)
        values, key = self._change(id, changes, expected_version)
        address = normalised(values["email"])
        try:
            async with self._savepoint():
                record = await self._core.db.fetchrow(
                    _update_with_email(tuple(values), tuple(key)),
                    **crud.encode(User, values),
                    **key,
                    address=address,
                )
        except AlreadyExistsError as error:
            raise await self._taken([], [address]) from error
        if record is None:
            raise await self._not_updated(id, expected_version)
        return self._row(record)

    @operation
    async def count(self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]) -> int:
        """Return the number of users that match."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> bool:
        """Return whether any user matches."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Delete a user with everything they own, as one deletion; atomic.

        Voice models, face models, documents and sessions are hidden; open sessions end (reason
        ``user_deleted``); the e-mail can be used again; cached entries are deleted.
        :meth:`restore` undoes the deletion until maintenance makes it final, after
        ``deletion_retention``.

        Args:
            reason: stored with the deletion's event, at most 500 characters.

        Raises:
            NotFoundError: there is no such user, or the user is already deleted.
            InvalidInputError: ``reason`` is invalid.
        """
        user_id, event = self._id(id), deletion_event(reason)
        async with self._core.transaction():
            if not await self._delete_user(user_id, event):
                raise self._missing(id)

    @operation
    async def restore(self, id: UUID | str) -> User:
        """Undo a user's deletion, and of everything that was deleted with them; atomic.

        Sessions stay ended. What was deleted before the user stays deleted.

        Returns:
            The restored user.

        Raises:
            NotFoundError: there is no such deleted user, or the deletion is final.
            AlreadyExistsError: another user has the e-mail now (``user_id`` in the details).
        """
        user_id = self._id(id)
        async with self._core.transaction():
            record = await self._core.db.fetchrow(QUERIES["restore"], user_id=user_id)
            if record is None:
                raise self._missing(id)
            user = self._row(record)
            await self._restore_belongings(user, record["was_deletion_id"])
        return user

    @operation
    async def hard_delete(self, id: UUID | str) -> None:
        """Delete a user and everything they own permanently; atomic. The audit trail stays.

        Raises:
            NotFoundError: there is no such user, deleted or not.
        """
        user_id = self._id(id)
        async with self._core.transaction():
            await super().hard_delete(user_id)
            await self._core.db.execute(QUERIES["free_email"], user_id=user_id)
            await self._cache.forget_user(user_id)

    @operation
    async def deletions(
        self, user_id: UUID | str | None = None, *, limit: int = 50, after: str | None = None
    ) -> Page[Deletion]:
        """Return a page of deletion events, oldest first, restored and final ones included.

        Args:
            user_id: the owner of what was deleted; if unset, the person of the scope, or all.
            limit: rows per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.

        Raises:
            InvalidInputError: names the invalid id, limit or cursor.
        """
        whose = {} if user_id is None else {"user_id": user_id}
        return await self._events._list(whose, limit=limit, after=after)

    async def _hide(self, found: builtins.list[Found], events: Mapping[UUID, UUID]) -> int:
        """Delete people at their versions, in order: each is a deletion of its own."""
        deleted = 0
        for row in sorted(found):
            deleted += await self._delete_user(row.id, deletion_event(None), row.version)
        return deleted

    async def _delete_user(
        self, user_id: UUID, event: Mapping[str, Any], version: int | None = None
    ) -> bool:
        """Delete a user with everything they own; return False if there is none."""
        db, deletion = self._core.db, event["deletion_id"]
        about = parameters(deletion_id=str(deletion))
        found = await db.fetchval(
            QUERIES["delete"], user_id=user_id, version=version, **event, **about
        )
        if not found:
            return False
        await db.execute(cascade.hide_belongings(), user_id=user_id, deletion_id=deletion)
        await self._cache.forget_user(user_id)
        return True

    def _new_user(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of a new row."""
        given = validate(NEW, dict(fields))
        return {
            "address": normalised(given["email"]),
            "id": self._new_id(id),
            "email": given["email"],
            "name": given["name"],
            "personality_traits": dumps(given.get("personality_traits", [])),
            "settings": dumps(given.get("settings", {})),
            "subscription_tier": given.get("subscription_tier", "free"),
        }

    def _new_id(self, id: object) -> UUID:
        """Return the id of a new user; under a scope only its person can be created."""
        if id is None:
            return self._scope or uuid7()
        return self._id(id)

    async def _by_email(self, email: str) -> User | None:
        record = await self._core.db.fetchrow(QUERIES["by_email"], address=unique_form(email))
        if record is None or self._scope not in (None, record["id"]):
            return None
        return self._row(record)

    async def _restore_belongings(self, user: User, deletion: UUID) -> None:
        address = normalised(user.email)
        try:
            async with self._core.transaction():
                await self._core.db.execute(
                    cascade.restore_belongings(),
                    user_id=user.id,
                    deletion_id=deletion,
                    address=address,
                )
        except AlreadyExistsError as error:
            refused = await self._taken([], [address])
            raise AlreadyExistsError(
                "email belongs to another user",
                **refused.details,
                user_id=refused.details.get("id"),
            ) from error

    async def _taken(self, ids: Sequence[UUID], addresses: Sequence[str]) -> AlreadyExistsError:
        """Return the error for ids or addresses of which one is taken."""
        holder = await self._core.db.fetchrow(QUERIES["holder"], ids=ids, addresses=addresses)
        if holder is None:  # another person's, under a scope; or it is free again
            return taken("email", None)
        return taken(holder["field"], holder["id"])

    async def _find(
        self, id: object, user_id: object, *, include_deleted: bool = False
    ) -> User | None:
        person = parse_id(id)
        if self._owner(user_id) not in (None, person):
            return None
        return await super()._find(person, None, include_deleted=include_deleted)

    def _conditions(self, filters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        equal, null = super()._conditions(filters)
        if "email" in equal:
            equal["email"] = normalised(equal["email"])
        return equal, null

    def _key(self, id: object, user_id: object) -> dict[str, Any]:
        return {"id": self._id(id)}

    def _id(self, id: object) -> UUID:
        user_id = parse_id(id)
        if self._scope not in (None, user_id):
            raise self._missing(id)
        return user_id


class _Deletions(EntityRepository[Deletion]):
    model, noun = Deletion, "deletion"
    filters = DELETION_FILTERS


@cache
def _update_with_email(names: tuple[str, ...], equal: tuple[str, ...]) -> Query:
    """Return the update of these columns that changes the address in ``user_emails`` too."""
    steps = crud.update_steps(User, names, equal)
    return QUERIES.variant("update_with_email", update=steps)
