"""Repository of users: unique by e-mail, deleted and restored with everything they own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.kernel.execution.operations import operation, streaming
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps, validate
from digitwin.kernel.repository.entities import (
    refuse_repeated_ids,
    row_dicts,
)
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql import crud
from digitwin.kernel.sql.audit_step import parameters
from digitwin.kernel.sql.queries import Query
from digitwin.users.deletion import UserDeletion
from digitwin.users.emails import normalised, unique_form
from digitwin.users.fields import (
    CHANGES,
    FILTERS,
    NEW,
    NewUser,
    NewUserRow,
    UserChanges,
    UserFilters,
)
from digitwin.users.models import User
from digitwin.users.queries import QUERIES


class UserRepository(UserDeletion):
    """Repository of users, the owners of twins (``db.users``).

    Fields: ``email`` (unique among users who are not deleted, without regard to case),
    ``name``, ``personality_traits`` (list of str), ``settings`` (dict: the preferences),
    ``subscription_tier`` (free, pro, enterprise).
    """

    new, changes, filters = NEW, CHANGES, FILTERS

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
            raise await self._not_updated(id, key.get("version"))
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

    def _conditions(self, filters: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        equal, null = super()._conditions(filters)
        if "email" in equal:
            equal["email"] = normalised(equal["email"])
        return equal, null


@cache
def _update_with_email(names: tuple[str, ...], equal: tuple[str, ...]) -> Query:
    """Return the update of these columns that changes the address in ``user_emails`` too."""
    steps = crud.update_steps(User, names, equal)
    return QUERIES.variant("update_with_email", update=steps)
