"""Audit records of denied calls, and of changes that take several statements."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Protocol
from uuid import UUID

from digitwin.errors import DigiTwinError, NotFoundError, ScopeRequiredError
from digitwin.kernel.execution.executor import Executor
from digitwin.kernel.primitives.ids import NOBODY
from digitwin.kernel.sql.audit_step import COLUMNS, parameters
from digitwin.kernel.sql.queries import compiled

log = logging.getLogger("digitwin.audit")

RECORD_TIMEOUT: Final = 2.0
"""Seconds that a denied call waits at most for its audit record."""

_RECORD = compiled(
    f"INSERT INTO audit_logs ({COLUMNS}) VALUES (:user_id, :audit_id, :action, :resource,"
    " :resource_id, :audit_actor_id, :result, :audit_ip_address, :audit_user_agent,"
    " :audit_metadata::jsonb)"
)


async def record(
    db: Executor, action: str, resource: str, resource_id: str, user_id: UUID, **metadata: Any
) -> None:
    """Record a change in its transaction, if its statements have no audit step."""
    await db.execute(
        _RECORD,
        user_id=user_id,
        action=action,
        resource=resource,
        resource_id=resource_id,
        result="success",
        **parameters(**metadata),
    )


class HasAside(Protocol):
    @property
    def aside(self) -> Executor: ...


async def denied(
    core: HasAside,
    action: str,
    resource: str,
    *,
    resource_id: str | None = None,
    user_id: UUID | None = None,
    **metadata: Any,
) -> None:
    """Record a denied call on a separate connection, so that it survives a rollback.

    Takes at most :data:`RECORD_TIMEOUT` and never raises: if it fails, that is logged.
    """
    about = None if resource_id is None else resource_id[:200]
    try:
        async with asyncio.timeout(RECORD_TIMEOUT):
            await core.aside.execute(
                _RECORD,
                user_id=user_id or NOBODY,
                action=action[:100],
                resource=resource[:100],
                resource_id=about,
                result="denied",
                **parameters(**metadata),
            )
    except (DigiTwinError, TimeoutError):
        log.exception("The denied call %s could not be recorded", action)


async def refused(core: HasAside, part: Any, method: str, error: DigiTwinError) -> None:
    """Record an error raised by a public method, once, if it denies access.

    Access is denied if a scope or a database privilege is missing, and in a person's scope if
    something other than the person is not found. Whether that exists for somebody else is not
    checked, so that neither the reply nor its timing reveals it.
    """
    person: UUID | None = getattr(part, "_scope", None)
    if "_recorded" in error.__dict__ or not _is_refusal(error, person):
        return
    error.__dict__["_recorded"] = True
    resource = getattr(getattr(part, "model", None), "resource", None) or type(part).__name__
    await denied(
        core,
        f"{resource}.{method}",
        resource,
        resource_id=_named(error),
        user_id=person,
        code=error.code,
        **({"field": error.details["field"]} if "field" in error.details else {}),
    )


def _is_refusal(error: DigiTwinError, person: UUID | None) -> bool:
    if isinstance(error, ScopeRequiredError) or error.details.get("sqlstate") == "42501":
        return True
    return person is not None and isinstance(error, NotFoundError) and _named(error) != str(person)


def _named(error: DigiTwinError) -> str | None:
    found = error.details.get("id") or error.details.get("user_id")
    return None if found is None else str(found)
