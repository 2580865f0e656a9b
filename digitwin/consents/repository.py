"""Repository of consents: what a person agreed to, how, and until when.

A voice or face model is active only while its owner's consent is in force. A withdrawal
deactivates it in the same transaction, under the lock that activations take.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from typing_extensions import Unpack

from digitwin.consents.fields import (
    FILTERS,
    NEW,
    PURPOSE,
    ConsentFilters,
    Evidence,
    Permits,
    Purpose,
    expiry,
)
from digitwin.consents.models import Consent
from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps, validate
from digitwin.kernel.repository.base import owner_not_found
from digitwin.kernel.repository.consent import CONSENT_IN_FORCE, lock_activation
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql.audit_step import parameters
from digitwin.kernel.sql.queries import Queries

QUERIES = Queries(__package__, table="consents", consent_in_force=CONSENT_IN_FORCE)


class ConsentRepository(EntityRepository[Consent]):
    """At most one consent of a person to a purpose is in force; earlier ones are kept.

    Args:
        permits: for each purpose, the table whose models it permits to be active.
    """

    model, noun = Consent, "consent"
    filters = FILTERS

    def __init__(self, core: Core, permits: Permits, *, scope: UUID | None = None) -> None:
        super().__init__(core, scope=scope)
        self._permits = permits

    @operation
    async def grant(
        self,
        user_id: UUID | str | None = None,
        *,
        purpose: Purpose,
        evidence: Evidence,
        expires: datetime | timedelta | float | None = None,
    ) -> Consent:
        """Grant consent to a purpose; atomic. Replaces the previous consent.

        Args:
            user_id: the person; may be omitted under ``for_user``.
            purpose: ``voice`` or ``face`` (permits an active model), or ``recording``.
            evidence: how the person agreed: a JSON object, or a line of text.
            expires: when the consent expires: a datetime, or a duration from now by the
                database clock. None: it is in force until it is withdrawn.

        Returns:
            The new consent.

        Raises:
            NotFoundError: the person is missing or deleted.
            InvalidInputError: names the invalid field; ``expires`` in the past too.
        """
        owner = self._require_owner(user_id)
        given = validate(NEW, {"purpose": purpose, "evidence": evidence})
        expires_at, expires_in = expiry(expires)
        about = {"user_id": owner, "purpose": purpose}
        async with self._core.transaction():
            await self._lock(owner, purpose)
            await self._core.db.execute(QUERIES["replace"], **about)
            record = await self._core.db.fetchrow(
                QUERIES["grant"],
                **about,
                id=uuid7(),
                evidence=dumps(given["evidence"]),
                expires_at=expires_at,
                expires_in=expires_in,
                **parameters(purpose=purpose),
            )
            if record is None:
                raise owner_not_found(owner)
            return self._row(record)

    @operation
    async def withdraw(self, user_id: UUID | str | None = None, *, purpose: Purpose) -> Consent:
        """Withdraw a consent and deactivate the models it permits; atomic.

        A deleted model does not become active again when it is restored. The consent of a
        deleted person can be withdrawn too.

        Args:
            user_id: the person; may be omitted under ``for_user``.
            purpose: what the consent was granted for.

        Returns:
            The withdrawn consent.

        Raises:
            NotFoundError: there is no consent to withdraw.
            InvalidInputError: names the invalid field.
        """
        owner = self._require_owner(user_id)
        validate(PURPOSE, purpose, "purpose")
        about = {"user_id": owner, "purpose": purpose}
        async with self._core.transaction():
            await self._lock(owner, purpose)
            record = await self._core.db.fetchrow(
                QUERIES["withdraw"], **about, **parameters(purpose=purpose)
            )
            if record is None:
                raise NotFoundError(
                    f"no consent for {purpose} is in force",
                    field="purpose",
                    purpose=purpose,
                    user_id=str(owner),
                )
            if models := self._permits.get(purpose):
                deactivate = QUERIES.variant("deactivate", models=models)
                why = parameters(consent=str(record["id"]))
                await self._core.db.execute(deactivate, **about, **why)
            return self._row(record)

    @operation
    async def in_force(
        self, user_id: UUID | str | None = None, *, purpose: Purpose
    ) -> Consent | None:
        """Return the person's consent to this purpose that is in force now, or None.

        Args:
            user_id: the person; may be omitted under ``for_user``.
            purpose: what the consent was granted for.

        Raises:
            InvalidInputError: names the invalid field.
        """
        owner = self._require_owner(user_id)
        validate(PURPOSE, purpose, "purpose")
        record = await self._core.db.fetchrow(QUERIES["in_force"], user_id=owner, purpose=purpose)
        return None if record is None else self._row(record)

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[ConsentFilters]
    ) -> Page[Consent]:
        """Return a page of consents, expired and withdrawn ones included, oldest first.

        Args:
            limit: rows per page, 1 to 1,000.
            after: the ``next_cursor`` of the previous page.
            **filters: see :class:`ConsentFilters`.

        Raises:
            InvalidInputError: names the invalid limit, cursor or filter.
        """
        return await self._list(filters, limit=limit, after=after)

    async def _lock(self, user_id: UUID, purpose: str) -> None:
        table = self._permits.get(purpose, "consents")
        await lock_activation(self._core.db, table, user_id)
