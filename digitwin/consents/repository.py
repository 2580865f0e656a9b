"""Consents: what a person agreed to, how, and until when.

A voice or face model is active only while its owner's consent is in force. A withdrawal and
the deactivation it brings are one transaction, and take turns with activations.
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
    Purpose,
    expiry,
)
from digitwin.consents.models import Consent
from digitwin.consents.statements import Allowed, statement
from digitwin.errors import NotFoundError
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps, validate
from digitwin.kernel.repository.entities import EntityRepository, no_owner
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql.audit_step import parameters


class ConsentRepository(EntityRepository[Consent]):
    """At most one consent of a person to a purpose is in force; the earlier ones are kept."""

    model, noun = Consent, "consent"
    filters = FILTERS

    def __init__(self, core: Core, allowed: Allowed, *, scope: UUID | None = None) -> None:
        super().__init__(core, scope=scope)
        self._allowed = allowed

    @operation
    async def grant(
        self,
        user_id: UUID | str | None = None,
        *,
        purpose: Purpose,
        evidence: Evidence,
        expires: datetime | timedelta | float | None = None,
    ) -> Consent:
        """Record that the person agrees; atomic. It takes the place of the consent before.

        Args:
            purpose: ``voice`` or ``face`` (their models may be active), or ``recording``.
            evidence: how the person agreed: a dict fit for JSON, or a line of text.
            expires: when it ends by itself: a moment, or seconds from the database's now.
                None: it stands until it is withdrawn.

        Raises:
            NotFoundError: the person is missing or deleted.
            InvalidInputError: names the field that does not fit, ``expires`` in the past too.
        """
        owner = self._require_owner(user_id)
        given = validate(NEW, {"purpose": purpose, "evidence": evidence})
        moment, lasts = expiry(expires)
        async with self._core.transaction():
            await self._wait_turn(owner, purpose)
            await self._core.db.execute(self._sql("replace", purpose), owner, purpose)
            record = await self._core.db.fetchrow(
                self._sql("grant", purpose),
                *(owner, uuid7(), purpose, dumps(given["evidence"]), moment, lasts),
                *parameters(purpose=purpose).values(),
            )
            if record is None:
                raise no_owner(owner)
            return self._row(record)

    @operation
    async def withdraw(self, user_id: UUID | str | None = None, *, purpose: Purpose) -> Consent:
        """End the consent now; atomic. The active voice or face model is deactivated with it.

        Deleted models forget that they were active. A deleted person can withdraw, too.

        Raises:
            NotFoundError: the person has given none, or has withdrawn it.
        """
        owner = self._require_owner(user_id)
        validate(PURPOSE, purpose, "purpose")
        async with self._core.transaction():
            await self._wait_turn(owner, purpose)
            record = await self._core.db.fetchrow(
                self._sql("withdraw", purpose),
                *(owner, purpose),
                *parameters(purpose=purpose).values(),
            )
            if record is None:
                raise NotFoundError(
                    f"no consent for {purpose} is in force",
                    field="purpose",
                    purpose=purpose,
                    user_id=str(owner),
                )
            if purpose in self._allowed:
                why = parameters(consent=str(record["id"])).values()
                await self._core.db.execute(self._sql("deactivate", purpose), owner, *why)
            return self._row(record)

    @operation
    async def in_force(
        self, user_id: UUID | str | None = None, *, purpose: Purpose
    ) -> Consent | None:
        """The person's consent to this purpose that counts now, or None."""
        owner = self._require_owner(user_id)
        validate(PURPOSE, purpose, "purpose")
        record = await self._core.db.fetchrow(self._sql("in_force", purpose), owner, purpose)
        return None if record is None else self._row(record)

    @operation
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[ConsentFilters]
    ) -> Page[Consent]:
        """A page of consents, ended ones too, oldest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: a limit, cursor or filter that does not fit.
        """
        return await self._list(filters, limit=limit, after=after)

    async def _wait_turn(self, user_id: UUID, purpose: str) -> None:
        await self._core.db.execute(self._sql("one_at_a_time", purpose), user_id)

    def _sql(self, name: str, purpose: str) -> str:
        return statement(name, purpose, self._allowed.get(purpose))
