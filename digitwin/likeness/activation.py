"""Which model of a person is active: at most one, and only while their consent is in force.

A unique index guarantees it, and a lock serializes the activations of a person, so that a
concurrent one waits instead of failing.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar
from uuid import UUID

from digitwin.errors import ConsentRequiredError, InvalidStateError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.repository.consent import CONSENT_IN_FORCE, lock_activation
from digitwin.kernel.repository.encrypted_fields import EncryptedFieldsRepository
from digitwin.kernel.sql.queries import Queries
from digitwin.likeness.models import FaceModel, VoiceModel

M = TypeVar("M", VoiceModel, FaceModel)


def queries_of(table: str) -> Queries:
    """Return the named queries for one of the two tables."""
    return Queries(__package__, table=table, consent_in_force=CONSENT_IN_FORCE)


class ActivationRepository(EncryptedFieldsRepository[M]):
    """Activate, deactivate and restore models of one table."""

    purpose: ClassVar[str]
    """The purpose of the consent that an active model requires."""
    queries: ClassVar[Queries]

    @operation
    async def activate(self, id: UUID | str) -> M:
        """Make this the owner's only active model; atomic and idempotent.

        Of two concurrent calls neither fails; the later one decides.

        Returns:
            The active model.

        Raises:
            NotFoundError: there is no such model.
            InvalidStateError: its status is not ``ready``.
            ConsentRequiredError: its owner's consent is not in force.
        """
        model = await self._get(id, None)
        return await self._activate(model.user_id, model.id)

    @operation
    async def deactivate(self, id: UUID | str) -> M:
        """Deactivate this model; idempotent.

        Returns:
            The inactive model.

        Raises:
            NotFoundError: there is no such model.
        """
        model = await self._get(id, None)
        record = await self._core.db.fetchrow(
            self.queries["deactivate"], user_id=model.user_id, id=model.id
        )
        return (
            await self._get(id, None) if record is None else await self._decrypt(self._row(record))
        )

    @operation
    async def active_for(self, user_id: UUID | str | None = None) -> M | None:
        """Return the person's active model, or None.

        None as soon as the person's consent is withdrawn or expires.

        Args:
            user_id: the person; may be omitted under ``for_user``.

        Raises:
            InvalidInputError: ``user_id`` is missing or not a UUID.
        """
        owner = self._require_owner(user_id)
        record = await self._core.db.fetchrow(
            self.queries["active_for"], user_id=owner, purpose=self.purpose
        )
        return None if record is None else await self._decrypt(self._row(record))

    @operation
    async def restore(self, id: UUID | str) -> M:
        """Undo a deletion; atomic. All models that were deleted together come back.

        A model that was active when it was deleted becomes active again, unless another model
        is active or the person's consent is no longer in force.

        Returns:
            The restored model.

        Raises:
            NotFoundError: there is no such model, it is not deleted, or its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        model = await self._get(id, None, include_deleted=True)
        async with self._core.transaction():
            await self._lock(model.user_id)
            await self._core.db.execute(
                self.queries["forget_active"],
                user_id=model.user_id,
                id=model.id,
                purpose=self.purpose,
            )
            return await self._restore(id)

    async def _activate(self, user_id: UUID, id: UUID) -> M:
        db = self._core.db
        async with self._core.transaction():
            await self._lock(user_id)
            consent = self.queries["lock_consent"]
            if await db.fetchval(consent, user_id=user_id, purpose=self.purpose) is None:
                raise self._no_consent(user_id)
            await db.execute(self.queries["retire"], user_id=user_id, id=id)
            record = await db.fetchrow(self.queries["activate"], user_id=user_id, id=id)
            if record is None:
                model = await self._get(id, user_id)
                raise InvalidStateError(
                    f"A {self.noun} must be ready to become active; this one is {model.status}",
                    id=str(id),
                    status=model.status,
                )
            return await self._decrypt(self._row(record))

    def _no_consent(self, user_id: UUID) -> ConsentRequiredError:
        return ConsentRequiredError(
            f"A {self.noun} can be active only with the person's consent, and none is in force:"
            f' db.consents.grant(user_id, purpose="{self.purpose}", evidence=…)',
            purpose=self.purpose,
            user_id=str(user_id),
        )

    async def _lock(self, user_id: UUID) -> None:
        await lock_activation(self._core.db, self.model._meta.db_table, user_id)
