"""Every error digitwin raises.

::

    DigiTwinError
    ├── ConfigurationError        a setting or a URL is invalid
    ├── MigrationRequiredError    the schema does not match this version of digitwin
    ├── UnsupportedServerError    PostgreSQL is older than version 15, or a pooler is too old
    ├── InvalidInputError         an argument is invalid; nothing was sent
    ├── NotFoundError             the row does not exist, is deleted, or is another person's
    ├── AlreadyExistsError        a unique value is taken
    ├── StaleVersionError         the row was changed since it was read
    ├── InvalidStateError         the operation is not allowed in the current state
    ├── StatementFailedError      the database refused a statement; names it
    ├── SchemaChangedError        a migration changed a table; run the transaction again
    ├── ScopeRequiredError        the call needs a user scope
    ├── ConsentRequiredError      the person's consent is missing
    ├── KeyUnavailableError       the key of encrypted fields is missing or destroyed
    ├── RateLimitedError          the rate limit is exceeded; carries the decision
    ├── BufferFullError           a recorder holds as many events as it may
    ├── ClosedError               the handle is closed or closing
    └── ConnectionFailedError     the server cannot be reached, or the connection broke
        ├── PoolTimeoutError      no connection became free in time
        ├── QueryTimeoutError     a statement exceeded its timeout
        ├── ReadOnlyServerError   the server accepts no writes, such as a standby
        ├── ServerExhaustedError  the server ran out of disk space, memory or other resources
        └── OutcomeUnknownError   a write was sent and its reply was lost

``code`` is stable and can be returned by an API. ``details`` holds the values that the message
mentions. ``retryable`` is true if the same call may succeed later without any change.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DigiTwinError(Exception):
    """An error in digitwin."""

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
    """A setting or a URL is invalid."""

    code = "configuration"


class MigrationRequiredError(DigiTwinError):
    """The database schema does not match this version of digitwin."""

    code = "migration_required"


class UnsupportedServerError(DigiTwinError):
    """The server is older than PostgreSQL 15, or a pooler loses prepared statements."""

    code = "unsupported_server"


class InvalidInputError(DigiTwinError):
    """An argument is invalid; nothing was sent.

    ``details["field"]`` names it.
    """

    code = "invalid_input"


class NotFoundError(DigiTwinError):
    """The row does not exist for this caller."""

    code = "not_found"


class AlreadyExistsError(DigiTwinError):
    """A unique value is taken; ``details["field"]`` names it."""

    code = "already_exists"


class StaleVersionError(DigiTwinError):
    """The row was changed since it was read: read it again and retry."""

    code = "stale_version"


class InvalidStateError(DigiTwinError):
    """The operation is not allowed in the current state."""

    code = "invalid_state"


class StatementFailedError(DigiTwinError):
    """The database refused a statement, or returned a time outside the years 1 to 9999.

    ``details`` names the ``statement`` and the ``sqlstate``. No migration of this package and no
    other input would help: schema or rows were changed by hand, or digitwin has a bug.
    """

    code = "statement_failed"


class SchemaChangedError(DigiTwinError):
    """A table was changed while the transaction was open: run the whole transaction again.

    A migration changed a type that a prepared statement returns. The transaction has stored
    nothing. A call outside a transaction is run again by itself, once.
    """

    code = "schema_changed"
    retryable = True


class ScopeRequiredError(DigiTwinError):
    """This call needs a user: use ``db.for_user(user_id)`` or pass ``user_id``."""

    code = "scope_required"


class ConsentRequiredError(DigiTwinError):
    """The person's consent is missing."""

    code = "consent_required"


class KeyUnavailableError(DigiTwinError):
    """The key of a person's encrypted fields is missing, destroyed or unreachable."""

    code = "key_unavailable"


class RateLimitedError(DigiTwinError):
    """The rate limit is exceeded; ``decision`` says when to retry."""

    code = "rate_limited"
    retryable = True

    @property
    def decision(self) -> Any:
        """The refused :class:`~digitwin.Decision`."""
        return self.details["decision"]


class BufferFullError(DigiTwinError):
    """A recorder holds as many events as it may; the call changed nothing.

    Wait for the recorder's ``room()``, then call again.
    """

    code = "buffer_full"
    retryable = True


class ClosedError(DigiTwinError):
    """The handle is closed or closing."""

    code = "closed"


class ConnectionFailedError(DigiTwinError):
    """The server cannot be reached, or the connection broke."""

    code = "connection_failed"
    retryable = True


class PoolTimeoutError(ConnectionFailedError):
    """No connection of the pool became free within ``acquire_timeout``."""

    code = "pool_timeout"


class QueryTimeoutError(ConnectionFailedError):
    """A statement exceeded its timeout and was cancelled; it changed nothing."""

    code = "query_timeout"


class ReadOnlyServerError(ConnectionFailedError):
    """The server accepts no writes, such as a standby; nothing was changed."""

    code = "read_only_server"


class ServerExhaustedError(ConnectionFailedError):
    """The server ran out of disk space, memory or other resources; nothing was changed."""

    code = "server_exhausted"


class OutcomeUnknownError(ConnectionFailedError):
    """A write was sent and its reply was lost: it may or may not have been committed.

    Retry with the same id or ``idempotency_key``, which makes a retry safe.
    """

    code = "outcome_unknown"
    retryable = False
