"""What the repository of users offers, for a fake to put in its place."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol
from uuid import UUID

from typing_extensions import Unpack

from digitwin.kernel.repository.paging import Page
from digitwin.users.fields import NewUser, NewUserRow, UserChanges, UserFilters
from digitwin.users.models import Deletion, User


class Users(Protocol):
    """See :class:`~digitwin.users.repository.UserRepository` for what each one promises."""

    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewUser]) -> User: ...

    async def create_many(self, rows: Iterable[NewUserRow]) -> builtins.list[User]: ...

    async def get(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> User: ...

    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None, include_deleted: bool = False
    ) -> User | None: ...

    async def get_by_email(self, email: str) -> User: ...

    async def find_by_email(self, email: str) -> User | None: ...

    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[UserFilters],
    ) -> Page[User]: ...

    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> AsyncGenerator[User, None]: ...

    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> int: ...

    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[UserFilters]
    ) -> bool: ...

    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[UserChanges],
    ) -> User: ...

    async def delete(self, id: UUID | str, *, reason: str | None = None) -> None: ...

    async def restore(self, id: UUID | str) -> User: ...

    async def deletions(
        self, user_id: UUID | str | None = None, *, limit: int = 50, after: str | None = None
    ) -> Page[Deletion]: ...

    async def hard_delete(self, id: UUID | str) -> None: ...
