"""Consents that have expired: the models they permitted are deactivated."""

from __future__ import annotations

from uuid import UUID

from digitwin.consents.fields import Permits
from digitwin.consents.repository import QUERIES
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.repository.consent import lock_activation
from digitwin.kernel.sql.audit_step import parameters

BATCH = 500


async def deactivate_expired(permits: Permits, core: Core) -> int:
    """Deactivate the models whose consent has expired.

    ``active_for`` has not returned them since the consent expired. Each person takes a short
    transaction of its own, under the same lock as activations and new consents.

    Returns:
        How many people and purposes it was.
    """
    return sum([await _of_purpose(core, *permit) for permit in permits.items()])


async def _of_purpose(core: Core, purpose: str, models: str) -> int:
    done, after = 0, NOBODY
    query = QUERIES.variant("expired_with_active_models", models=models)
    while rows := await core.db.fetch(query, purpose=purpose, batch=BATCH, after=after):
        for row in rows:
            done += await _of_person(core, purpose, models, row["user_id"])
        after = rows[-1]["user_id"]
    return done


async def _of_person(core: Core, purpose: str, models: str, user_id: UUID) -> bool:
    async with core.transaction():
        await lock_activation(core.db, models, user_id)
        deactivated = await core.db.fetch(
            QUERIES.variant("deactivate", models=models),
            user_id=user_id,
            purpose=purpose,
            **parameters(reason="consent expired"),
        )
        return bool(deactivated)
