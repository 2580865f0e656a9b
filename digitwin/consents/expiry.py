"""Consents that have ended by themselves: their models are active no longer."""

from __future__ import annotations

from uuid import UUID

from digitwin.consents.statements import Allowed, statement
from digitwin.kernel.execution.core import Core
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.audit_step import parameters

BATCH = 500


async def deactivate_expired(allowed: Allowed, core: Core) -> int:
    """Deactivate what an expired consent allowed; of how many people and purposes.

    ``active_for`` has not shown it since the consent ended. Each person's models take a short
    transaction, in turn with activations and new consents.
    """
    return sum([await _of_purpose(core, *purpose) for purpose in allowed.items()])


async def _of_purpose(core: Core, purpose: str, model: type[Model]) -> int:
    done, after = 0, NOBODY
    sql = statement("past_their_time", purpose, model)
    while rows := await core.db.fetch(sql, purpose, BATCH, after):
        for row in rows:
            done += await _of_person(core, purpose, model, row["user_id"])
        after = rows[-1]["user_id"]
    return done


async def _of_person(core: Core, purpose: str, model: type[Model], user_id: UUID) -> bool:
    async with core.transaction():
        await core.db.execute(statement("one_at_a_time", purpose, model), user_id)
        sql = statement("deactivate_past", purpose, model)
        why = parameters(reason="consent expired").values()
        return bool(await core.db.fetch(sql, user_id, *why))
