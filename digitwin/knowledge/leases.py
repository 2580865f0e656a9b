"""A worker's lease of a document, and what its statements need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import bounded, seconds, validate
from digitwin.knowledge.fields import WORKER
from digitwin.knowledge.models import KnowledgeDocument

SHORTEST = 0.001
LONGEST = 7 * 86_400
_MOST_ATTEMPTS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Lease:
    """A document that one worker processes until ``expires_at``, by the database's clock.

    ``token`` fences: once the lease has passed or the document was leased again, ``complete``,
    ``fail`` and ``renew`` refuse it, whatever the name of the worker that holds it now.
    ``attempt`` counts from 1; ``seconds`` is how long the lease holds after each ``renew``.
    """

    document: KnowledgeDocument
    token: UUID = field(repr=False)
    worker: str
    attempt: int
    seconds: float
    expires_at: datetime

    @classmethod
    def of(cls, document: KnowledgeDocument, row: Mapping[str, Any], seconds: float) -> Lease:
        """Return the lease in a row of the statements ``claim`` and ``renew``."""
        token, attempt, until = row["lease_token"], row["attempts"], row["lease_until"]
        return cls(document, token, row["worker"], attempt, seconds, until)


def lease_seconds(value: object) -> float:
    """Validate how long a lease holds.

    Raises:
        InvalidInputError: it is no duration, or out of bounds.
    """
    return seconds(value, "lease_seconds", at_least=SHORTEST, at_most=LONGEST)


def held_by(lease: Lease) -> dict[str, Any]:
    """Return the values by which a statement finds the document only while the lease is valid.

    Raises:
        InvalidInputError: it is not a lease of ``claim`` or ``renew``.
    """
    if type(lease) is not Lease or type(lease.document) is not KnowledgeDocument:
        raise InvalidInputError("lease must be what claim() or renew() returned", field="lease")
    row = vars(lease.document)
    return {
        "id": parse_id(row.get("id"), "lease"),
        "user_id": parse_id(row.get("user_id"), "lease"),
        "token": parse_id(lease.token, "lease"),
        "worker": validate(WORKER, {"worker": lease.worker})["worker"],
        "attempt": bounded(lease.attempt, "lease", at_least=1, at_most=_MOST_ATTEMPTS),
    }
