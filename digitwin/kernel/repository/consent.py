"""What consents and the models they permit share: one condition and one lock.

Consents end activations and activations require consents, but the two domains do not import
each other.
"""

from __future__ import annotations

from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.sql.queries import Queries, load

CONSENT_IN_FORCE = load(__package__)["consent_in_force"]
"""The condition that a row of ``consents`` counts now; see ``queries.sql``."""

_QUERIES = Queries(__package__)


async def lock_activation(db: Statements, table: str, user_id: UUID) -> None:
    """Let one transaction at a time change which row of ``table`` is active for this person.

    The lock is held until the transaction of the caller ends.
    """
    await db.execute(_QUERIES["lock_activation"], table=table, user_id=user_id)
