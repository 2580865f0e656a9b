"""What a repository of consents offers, for a fake to put in its place."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from typing_extensions import Unpack

from digitwin.consents.fields import ConsentFilters, Evidence, Purpose
from digitwin.consents.models import Consent
from digitwin.kernel.repository.paging import Page


class Consents(Protocol):
    """See :class:`~digitwin.consents.repository.ConsentRepository` for what each one promises."""

    async def grant(
        self,
        user_id: UUID | str | None = None,
        *,
        purpose: Purpose,
        evidence: Evidence,
        expires: datetime | timedelta | float | None = None,
    ) -> Consent: ...

    async def withdraw(self, user_id: UUID | str | None = None, *, purpose: Purpose) -> Consent: ...

    async def in_force(
        self, user_id: UUID | str | None = None, *, purpose: Purpose
    ) -> Consent | None: ...

    async def get(self, id: UUID | str, *, user_id: UUID | str | None = None) -> Consent: ...

    async def find(
        self, id: UUID | str, *, user_id: UUID | str | None = None
    ) -> Consent | None: ...

    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[ConsentFilters]
    ) -> Page[Consent]: ...
