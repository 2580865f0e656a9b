"""Every error digitwin raises.

::

    DigiTwinError
    ├── ConfigurationError        a setting or a URL is wrong
    ├── MigrationRequiredError    the schema and this package do not fit together
    ├── UnsupportedServerError    PostgreSQL is older than version 15
    ├── InvalidInputError         a value was refused before anything was sent
    ├── NotFoundError             no such row, or it is deleted, or it is another person's
    ├── AlreadyExistsError        a unique value is taken
    ├── StaleVersionError         the row changed since it was read
    ├── InvalidStateError         the operation does not fit the state things are in
    ├── ScopeRequiredError        a person must be named, and none was
    ├── ConsentRequiredError      the person has not agreed to this
    ├── KeyUnavailableError       what opens sensitive fields is missing or destroyed
    ├── RateLimitedError          the budget is spent; carries the decision
    ├── ClosedError               the handle is closed or closing
    └── ConnectionFailedError     the server cannot be reached, or the connection broke
        ├── PoolTimeoutError      every connection stayed in use
        ├── QueryTimeoutError     a statement ran past its time
        └── OutcomeUnknownError   a write was sent and its answer was lost

``code`` is stable and fit for an API's answer, ``details`` holds the values the
message speaks of, and ``retryable`` says whether the same call may succeed later
without anything being changed first.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DigiTwinError(Exception):
    """Something went wrong in digitwin."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").splitlines()[0]
        self.details: dict[str, Any] = details
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(kind: type[DigiTwinError], message: str, details: dict[str, Any]) -> DigiTwinError:
    return kind(message, **details)


class ConfigurationError(DigiTwinError):
    """A setting or a URL is wrong."""

    code = "configuration"


class MigrationRequiredError(DigiTwinError):
    """The database schema and this version of digitwin do not fit together."""

    code = "migration_required"


class UnsupportedServerError(DigiTwinError):
    """The server is older than PostgreSQL 15."""

    code = "unsupported_server"


class InvalidInputError(DigiTwinError):
    """A value was refused before anything was sent.

    ``details["field"]`` names it.
    """

    code = "invalid_input"


class NotFoundError(DigiTwinError):
    """There is no such row for this caller."""

    code = "not_found"


class AlreadyExistsError(DigiTwinError):
    """A unique value is taken; ``details["field"]`` names it."""

    code = "already_exists"


class StaleVersionError(DigiTwinError):
    """The row has changed since it was read: read it again, then decide."""

    code = "stale_version"


class InvalidStateError(DigiTwinError):
    """The operation does not fit the state things are in."""

    code = "invalid_state"


class ScopeRequiredError(DigiTwinError):
    """A person must be named for this: use ``db.for_user(user_id)`` or pass ``user_id``."""

    code = "scope_required"


class ConsentRequiredError(DigiTwinError):
    """The person has not agreed to this."""

    code = "consent_required"


class KeyUnavailableError(DigiTwinError):
    """The key to a person's sensitive fields cannot be had: missing, destroyed, or out of reach."""

    code = "key_unavailable"


class RateLimitedError(DigiTwinError):
    """The budget is spent; ``decision`` says when to come back."""

    code = "rate_limited"
    retryable = True

    @property
    def decision(self) -> Any:
        """The refused :class:`~digitwin.Decision`."""
        return self.details["decision"]


class ClosedError(DigiTwinError):
    """The handle is closed or closing: it takes no new work."""

    code = "closed"


class ConnectionFailedError(DigiTwinError):
    """The server cannot be reached, or the connection broke."""

    code = "connection_failed"
    retryable = True


class PoolTimeoutError(ConnectionFailedError):
    """Every connection of the pool stayed in use for ``acquire_timeout``."""

    code = "pool_timeout"


class QueryTimeoutError(ConnectionFailedError):
    """A statement ran past its time and was cancelled; nothing of it was stored."""

    code = "query_timeout"


class OutcomeUnknownError(ConnectionFailedError):
    """A write was sent and its answer was lost: it may or may not be stored.

    Try again with the same id or ``idempotency_key``, which makes that safe.
    """

    code = "outcome_unknown"
    retryable = False
