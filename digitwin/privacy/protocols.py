"""What ``db.privacy`` offers, for a fake to put in its place."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from digitwin.conversations.participant import Kind
from digitwin.kernel.repository.paging import Page
from digitwin.privacy.artifacts import ArtifactDeleter
from digitwin.privacy.erasure_replay import ReplayReport
from digitwin.privacy.export import Export
from digitwin.privacy.receipts import ErasureReceipt


class DataProtection(Protocol):
    """See :class:`~digitwin.privacy.repository.Privacy` for what each one promises."""

    def export(self, user_id: UUID | str) -> Export: ...

    def export_participant(self, *, kind: Kind, ref: str) -> Export: ...

    async def erase(
        self, user_id: UUID | str, *, reason: str, verify: bool = False
    ) -> ErasureReceipt: ...

    async def erase_participant(
        self, *, kind: Kind, ref: str, reason: str, keep_answers: bool = False
    ) -> ErasureReceipt: ...

    async def receipt(self, id: UUID | str) -> ErasureReceipt: ...

    async def receipts(
        self, *, limit: int = 50, after: str | None = None
    ) -> Page[ErasureReceipt]: ...

    async def replay(self) -> ReplayReport: ...

    def on_artifact_delete(self, deleter: ArtifactDeleter) -> ArtifactDeleter: ...
