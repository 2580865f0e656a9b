"""What ``db.privacy`` offers, for a fake to put in its place."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from digitwin.conversations.participant import Kind
from digitwin.privacy.export import Export


class DataProtection(Protocol):
    """See :class:`~digitwin.privacy.repository.Privacy` for what each one promises."""

    def export(self, user_id: UUID | str) -> Export: ...

    def export_participant(self, *, kind: Kind, ref: str) -> Export: ...
