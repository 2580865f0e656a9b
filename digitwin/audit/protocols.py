"""What the audit trail offers, for a fake to put in its place."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol, Unpack
from uuid import UUID

from digitwin.audit.fields import Details, Entry, Filters
from digitwin.audit.models import AuditLog
from digitwin.audit.statistics import AuditStatistics
from digitwin.audit.verification import AuditVerification
from digitwin.kernel.primitives.validation import Period
from digitwin.kernel.repository.paging import Page


class AuditTrail(Protocol):
    """See :class:`~digitwin.audit.repository.AuditLogRepository` for what each one promises."""

    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID: ...

    async def record_many(self, entries: Iterable[Entry]) -> builtins.list[UUID]: ...

    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page[AuditLog]: ...

    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> AuditStatistics: ...

    def export(
        self, *, after: str | None = ..., unsealed: bool = ..., **period: Unpack[Period]
    ) -> AsyncGenerator[dict[str, Any], None]: ...

    async def seal(self) -> int: ...

    async def verify(self) -> AuditVerification: ...

    async def purge(self, older_than: float | timedelta = ...) -> int: ...

    async def prepare(self, *, months: int = ...) -> int: ...
