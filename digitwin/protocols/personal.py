"""People, their voices and faces, and what they consented to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Protocol, Unpack

from digitwin.consents.fields import ConsentFilters, Evidence, Purpose
from digitwin.kernel.repository.paging import Page
from digitwin.likeness.fields import ModelChanges, ModelFilters, NewModel, NewModelRow
from digitwin.models import (
    Consent,
    Deletion,
    FaceModel,
    User,
    VoiceModel,
)
from digitwin.protocols.entities import CreatesMany, Id, Reads, Seconds, SoftDeletes, T
from digitwin.users.fields import NewUser, NewUserRow, UserChanges, UserFilters


class UserLookup(Protocol):
    """Looks users up by e-mail."""

    async def get_by_email(self, email: str) -> User: ...
    async def find_by_email(self, email: str) -> User | None: ...


class Users(UserLookup, CreatesMany[User, NewUserRow], SoftDeletes[User], Protocol):
    """``db.users``: see :class:`~digitwin.users.repository.UserRepository`."""

    async def create(self, *, id: Id | None = None, **fields: Unpack[NewUser]) -> User: ...
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
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[UserChanges]
    ) -> User: ...
    async def deletions(
        self, user_id: Id | None = None, *, limit: int = 50, after: str | None = None
    ) -> Page[Deletion]: ...


class LikenessModels(CreatesMany[T, NewModelRow], SoftDeletes[T], Protocol[T]):
    """See :class:`~digitwin.likeness.repository.LikenessRepository`."""

    async def create(self, *, id: Id | None = None, **fields: Unpack[NewModel]) -> T: ...
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[ModelFilters],
    ) -> Page[T]: ...
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> AsyncGenerator[T, None]: ...
    async def count(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> int: ...
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> bool: ...
    async def update(
        self, id: Id, *, expected_version: int | None = None, **changes: Unpack[ModelChanges]
    ) -> T: ...
    async def activate(self, id: Id) -> T: ...
    async def deactivate(self, id: Id) -> T: ...
    async def active_for(self, user_id: Id | None = None) -> T | None: ...


class VoiceModels(LikenessModels[VoiceModel], Protocol):
    """``db.voices``."""


class FaceModels(LikenessModels[FaceModel], Protocol):
    """``db.faces``."""


class Consents(Reads[Consent], Protocol):
    """``db.consents``: see :class:`~digitwin.consents.repository.ConsentRepository`."""

    async def grant(
        self,
        user_id: Id | None = None,
        *,
        purpose: Purpose,
        evidence: Evidence,
        expires: datetime | Seconds | None = None,
    ) -> Consent: ...
    async def withdraw(self, user_id: Id | None = None, *, purpose: Purpose) -> Consent: ...
    async def in_force(self, user_id: Id | None = None, *, purpose: Purpose) -> Consent | None: ...
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[ConsentFilters]
    ) -> Page[Consent]: ...
