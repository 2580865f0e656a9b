"""The twin's owners: created once for each e-mail, deleted and restored as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from digitwin.errors import AlreadyExistsError, NotFoundError
from digitwin.kernel.execution.core import Core, operation, streaming
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import dumps, validate
from digitwin.kernel.repository.entities import (
    EntityRepository,
    SoftDeleteRepository,
    deletion_event,
    listed,
)
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.repository.ports import CacheForgetter
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


class UserRepository(SoftDeleteRepository[User]):
    """Users: whoever owns a twin.

    Fields: ``email`` (unique among the living, compared without case), ``name``,
    ``personality_traits`` (list of str), ``settings`` (dict: the preferences),
    ``subscription_tier`` (free, pro, enterprise).
    """

    model, noun = User, "user"
    new, changes, filters = NEW, CHANGES, FILTERS

    def __init__(self, core: Core, *, scope: UUID | None = None, cache: CacheForgetter) -> None:
        super().__init__(core, scope=scope)
        self._cache = cache
        self._events = _Deletions(core, scope=scope)

    @operation
    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewUser]) -> User:
        """Create a user; atomic: of two with one e-mail, one is refused.

        Args:
            id: a UUID made by the caller makes trying again safe.

        Raises:
            AlreadyExistsError: ``email`` belongs to a living user, or ``id`` is taken.
            InvalidInputError: a field is missing, unknown or out of bounds.
        """
        record = await self._core.db.fetchrow(QUERIES["create"], **self._new_user(id, fields))
        assert record is not None
        return self._row(record)

    @operation
    async def create_many(self, rows: Iterable[NewUserRow]) -> list[User]:
        """Create users, all or none, in the order given; errors as :meth:`create`.

        At most 10,000 at once.
        """
        made = [self._new_user(row.pop("id", None), row) for row in listed(rows)]
        if len({user["id"] for user in made}) < len(made):
            raise AlreadyExistsError("id is given twice", field="id")
        if not made:
            return []
        columns = {name: [user[name] for user in made] for name in made[0]}
        records = await self._core.db.fetch(
            QUERIES["create_many"], **columns, **parameters(len(made))
        )
        users = {record["id"]: self._row(record) for record in records}
        return [users[user["id"]] for user in made]

    @operation
    async def get_by_email(self, email: str) -> User:
        """The living user with this e-mail, whatever its case.

        Raises:
            NotFoundError: nobody has it.
            InvalidInputError: it is not an e-mail address.
        """
        user = await self._by_email(email)
        if user is None:
            raise NotFoundError("user not found", field="email")
        return user

    @operation
    async def find_by_email(self, email: str) -> User | None:
        """The living user with this e-mail, or None; errors as :meth:`get_by_email`."""
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
        """A page of users, oldest first.

        Args:
            limit: rows of the page, 1 to 1,000.
            after: the page before's ``next_cursor``.

        Raises:
            InvalidInputError: a bad limit, cursor or filter.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> AsyncGenerator[User, None]:
        """Every user that fits, oldest first, in constant memory; holds one connection."""
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
            expected_version: refuse when the row is at another version by now.

        Raises:
            NotFoundError: there is no such living user.
            StaleVersionError: it is not at ``expected_version``.
            AlreadyExistsError: the new ``email`` belongs to another living user.
            InvalidInputError: a field is unknown or out of bounds, or none is given.
        """
        if "email" not in changes:
            return await self._update(id, changes, expected_version)
        values, key = self._change(id, changes, expected_version)
        record = await self._core.db.fetchrow(
            _update_with_email(tuple(values), tuple(key)),
            **crud.encode(User, values),
            **key,
            address=normalised(values["email"]),
        )
        if record is None:
            raise await self._not_updated(id, expected_version)
        return self._row(record)

    @operation
    async def count(self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]) -> int:
        """How many users fit."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> bool:
        """Whether any user fits."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None:
        """Delete a user with all that is theirs, as one deletion; ``restore`` takes it back.

        Voice and face models and documents go along; open sessions end (reason
        ``user_deleted``) and all are hidden; the e-mail is free again; cached entries are
        gone for good. Atomic. After ``deletion_retention`` the upkeep makes it final.

        Args:
            reason: why, as the deletion's event says it; at most 500 characters.

        Raises:
            NotFoundError: there is no such living user.
            InvalidInputError: ``reason`` does not fit.
        """
        user_id, event = self._id(id), deletion_event(reason)
        deletion = event["deletion_id"]
        about = parameters(deletion_id=str(deletion))
        async with self._core.transaction():
            db = self._core.db
            if not await db.fetchval(QUERIES["delete"], user_id=user_id, **event, **about):
                raise self._missing(id)
            await db.execute(cascade.hide_belongings(), user_id=user_id, deletion_id=deletion)
            await self._cache.forget_user(user_id)

    @operation
    async def restore(self, id: UUID | str) -> User:
        """Take a user's deletion back, with exactly what it took along; atomic.

        Sessions are seen again, still ended. What was deleted before stays deleted.

        Raises:
            NotFoundError: there is no such deleted user, or the deletion is final.
            AlreadyExistsError: the e-mail belongs to someone else by now (``user_id``).
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
        """Remove a user and all that is theirs for good; nothing brings it back. Atomic.

        The audit trail stays.

        Raises:
            NotFoundError: there is no such user, alive or deleted.
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
        """A page of deletions, oldest first: of users and of what is theirs, restored ones too.

        Args:
            user_id: whose; left out, everybody's, or the scope's.
            limit: rows of the page, 1 to 1,000.
            after: the page before's ``next_cursor``.

        Raises:
            InvalidInputError: a bad id, limit or cursor.
        """
        whose = {} if user_id is None else {"user_id": user_id}
        return await self._events._list(whose, limit=limit, after=after)

    def _new_user(self, id: object, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A row as the statements take it, complete."""
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
        """Under a scope, its person is the only one who can be created."""
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
            holder = await self._core.db.fetchval(QUERIES["holder_of_email"], address=address)
            raise AlreadyExistsError(
                "email belongs to another user by now",
                field="email",
                user_id=holder and str(holder),
            ) from error

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
    """The update of these columns, which moves the address too."""
    steps = crud.update_steps(User, names, equal)
    return QUERIES.get("update_with_email", update=steps)
