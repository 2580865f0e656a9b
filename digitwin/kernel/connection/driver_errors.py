"""Translates the driver's exceptions into digitwin's errors.

Decides by SQLSTATE, never by message text. Constraint names contain the field
(``uq_users__email``), so that the error can name it. Each function first removes values from the
exception (:mod:`scrubbing`), which the caller then raises digitwin's error from.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from digitwin import errors
from digitwin.kernel.connection.scopes import RETENTION
from digitwin.kernel.connection.scrubbing import scrub, statement_of

_TOO_MANY_WORDS = "54000"
"""Program limit exceeded: the only limit our rows can hit is a tsvector's 1 MiB."""
_INVALID_VALUES = {
    "22001": "is too long for its column",
    "22003": "is out of range",
    "22007": "is not a date or time",
    "22008": "is out of range",
    "22021": "contains a character that cannot be stored",
    "22P05": "contains a character that cannot be stored",
}

_TIMEOUTS = {
    "57014": "The statement exceeded `statement_timeout` and was cancelled",
    "55P03": "A lock was not granted within `lock_timeout`",
    "40P01": "The statement was rolled back because of a deadlock",
    "40001": "The transaction was rolled back because of a concurrent change",
}
_DISCONNECTED = {
    "57P01",
    "57P02",
    "57P03",
    "57P05",
    "53300",
    "08000",
    "08001",
    "08003",
    "08006",
}
_EXHAUSTED = {
    "53100": "The server's disk is full; nothing was changed",
    "53200": "The server is out of memory; nothing was changed",
}
_INTERNAL = ("58", "F0", "XX")
"""Classes of errors inside the server."""
_STATEMENTS = {"26000", "42P05"}
STATEMENTS_LOST = (
    "a pooler in between is in transaction mode and loses prepared statements: use PgBouncer 1.21"
    " or newer with max_prepared_statements above 0, or pool_mode = session, or the server's own"
    " address"
)
_UNDEFINED = {
    "42P01": "A table",
    "42703": "A column",
    "42883": "A function or an operator",
    "3F000": "A schema",
}

OUT_OF_STEP = asyncpg.InternalClientError
"""Raised on an unexpected message, such as the server's shutdown notice. The connection is
unusable although it looks open."""

_HARMLESS = (
    asyncpg.exceptions._base.DataError,
    asyncpg.exceptions._base.UnsupportedClientFeatureError,
)
"""Interface errors about an argument: the connection is as good as before."""

DRIVER = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OUT_OF_STEP,
    OSError,
    TimeoutError,
    EOFError,
    OverflowError,
)
"""Everything asyncpg raises for a statement; other exceptions are bugs and propagate. It raises
OverflowError for a time in the reply that Python cannot represent."""


def is_read_only(fault: BaseException) -> bool:
    """Return whether the server refused a write because it accepts none."""
    return isinstance(fault, asyncpg.ReadOnlySQLTransactionError)


def distrusts(fault: BaseException) -> bool:
    """Return whether the connection that raised it should be replaced.

    That is after an error of the protocol or of the driver's own state, which the connection may
    still be in, and after a refused write: another connection may reach another server.
    """
    if isinstance(fault, asyncpg.InterfaceError):
        return not isinstance(fault, _HARMLESS)
    return isinstance(fault, OUT_OF_STEP | asyncpg.ProtocolViolationError) or is_read_only(fault)


def is_unsent(fault: BaseException) -> bool:
    """Return whether the driver refused a value, so that the statement was prepared at most."""
    by_driver = isinstance(fault, asyncpg.DataError) and fault.server_source_function is None
    return by_driver or isinstance(fault, _HARMLESS)


def translate(
    fault: BaseException, *, write: bool = False, sent: bool = True, within: Any = None
) -> errors.DigiTwinError | None:
    """Translate a driver exception; None if it is not one.

    Args:
        fault: the exception.
        write: the statement commits on its own, so that a lost reply leaves its outcome unknown.
        sent: False if nothing can have reached the server yet.
        within: the connection, of a statement within a transaction.
    """
    scrub(fault)
    error = _translated(fault, write=write and sent)
    if within is not None and type(error) is errors.ConnectionFailedError:
        idle = within.is_closed() and isinstance(fault, asyncpg.InterfaceError | OUT_OF_STEP)
        return _closed_within(error, fault, idle=idle or error.details.get("sqlstate") == "25P03")
    return error


def _translated(fault: BaseException, *, write: bool) -> errors.DigiTwinError | None:
    if isinstance(fault, asyncpg.PostgresError):
        return _server_error(fault, write=write)
    if isinstance(fault, _HARMLESS):
        return errors.InvalidInputError("A value is not valid for its column", field="value")
    if isinstance(fault, TimeoutError):
        return _connection_lost(fault, write=write, timed_out=True)
    if isinstance(fault, asyncpg.InterfaceError):
        return errors.ConnectionFailedError(f"The connection cannot be used: {fault}")
    if isinstance(fault, OSError | EOFError | OUT_OF_STEP):
        return _connection_lost(fault, write=write)
    if isinstance(fault, OverflowError):  # of a write too: it was stored
        return unreadable_moment()
    return None


def unreadable_moment(*, iso: bool = True) -> errors.StatementFailedError:
    """The error for a stored time that Python cannot represent, such as one before Christ.

    Args:
        iso: False if it came as text in another format than the connection's.
    """
    what = (
        "A stored time is not within the years 1 to 9999: nothing in digitwin stores such a time"
        if iso
        else "A time came in another format than ISO: `datestyle`, which digitwin sets when it"
        " connects, was changed since, or lost by a pooler"
    )
    return errors.StatementFailedError(what, statement=None, sqlstate="22008")


def _closed_within(
    error: errors.ConnectionFailedError, fault: BaseException, *, idle: bool
) -> errors.ConnectionFailedError:
    """Name the setting that closes transactions which pause for too long."""
    why = "while its transaction was idle" if idle else f"within its transaction ({fault})"
    return errors.ConnectionFailedError(
        f"The connection was closed {why}. The server does that after"
        " `idle_in_transaction_timeout`: do not pause that long inside a transaction, or between"
        " the rows of a stream (pages, from `list`, hold no connection), or raise the setting",
        **error.details,
    )


def _server_error(fault: asyncpg.PostgresError, *, write: bool) -> errors.DigiTwinError:
    code = fault.sqlstate or ""
    if code == "25006":
        return errors.ReadOnlyServerError(sqlstate=code)
    if code.startswith("53") and code not in _DISCONNECTED:
        return errors.ServerExhaustedError(_EXHAUSTED.get(code), sqlstate=code)
    if code.startswith(_INTERNAL):
        return errors.DigiTwinError(
            "The server reported an internal error: its log says more", sqlstate=code
        )
    if code in _TIMEOUTS:
        return errors.QueryTimeoutError(_TIMEOUTS[code], sqlstate=code)
    if code == "25P03":
        return errors.ConnectionFailedError(sqlstate=code)
    if isinstance(fault, asyncpg.PostgresConnectionError) or code in _DISCONNECTED:
        return _connection_lost(fault, write=write)
    if code.startswith("23"):
        return _constraint_error(fault, code)
    if code in _STATEMENTS:
        return errors.UnsupportedServerError(
            f"{STATEMENTS_LOST[0].upper()}{STATEMENTS_LOST[1:]}", sqlstate=code
        )
    if code.startswith("22") or code == _TOO_MANY_WORDS:
        return _invalid_value(code)
    if isinstance(fault, asyncpg.exceptions.InvalidCachedStatementError):
        return errors.SchemaChangedError(statement=statement_of(fault), sqlstate=code)
    if code == "25P02":
        return errors.InvalidStateError(_ABORTED, sqlstate=code)
    if code == "42501":
        return errors.InvalidStateError(
            f"The database refused the statement: {fault}", sqlstate=code
        )
    if code == "21000":
        return errors.InvalidStateError(
            "More than one row has this id: name its owner, with user_id or db.for_user(user_id)",
            field="id",
            sqlstate=code,
        )
    if code == "P0001":
        return errors.InvalidStateError(str(fault), sqlstate=code)
    return _failed(fault, code)


_ABORTED = (
    "This transaction is aborted: an earlier statement in it failed, and its error was caught."
    " Leave the transaction and run it again, or put what may fail into a nested"
    " `async with db.transaction():`"
)


def _invalid_value(code: str) -> errors.InvalidInputError:
    if code == _TOO_MANY_WORDS:
        return errors.InvalidInputError(
            "content has too many different words: its search index holds 1 MiB",
            field="content",
            sqlstate=code,
        )
    why = _INVALID_VALUES.get(code, "is not valid for its column")
    return errors.InvalidInputError(f"A value {why}", field="value", sqlstate=code)


def _failed(fault: asyncpg.PostgresError, code: str) -> errors.StatementFailedError:
    statement = statement_of(fault)
    what = f"The statement {statement}" if statement else "A statement"
    if code in _UNDEFINED:
        what = f"{_UNDEFINED[code]} is missing, so {what[0].lower()}{what[1:]}"
    return errors.StatementFailedError(
        f"{what} failed: {fault.args[0]}", statement=statement, sqlstate=code
    )


def is_missing_object(error: BaseException) -> bool:
    """Return whether a statement named a table, column, function or schema that is missing."""
    return (
        isinstance(error, errors.StatementFailedError) and error.details["sqlstate"] in _UNDEFINED
    )


def unscoped(fault: BaseException) -> errors.ScopeRequiredError | None:
    """Translate a missing privilege of an unscoped statement; None for other errors."""
    if getattr(fault, "sqlstate", None) != "42501":
        return None
    scrub(fault)
    return errors.ScopeRequiredError(
        f"The database refused a call without a scope ({fault}): use"
        " db.for_user(user_id) or db.for_service(reason=…), or a login with more privileges",
        sqlstate="42501",
    )


def may_be_of_role(fault: BaseException) -> bool:
    """Return whether a role can be at fault: it is missing, or not granted."""
    return getattr(fault, "sqlstate", None) in ("22023", "42501")


def of_role(fault: BaseException, role: str, *, within: Any = None) -> errors.DigiTwinError | None:
    """As :func:`translate`, for a statement that sets a role."""
    scrub(fault)
    code = getattr(fault, "sqlstate", None)
    if not may_be_of_role(fault):
        return translate(fault, within=within)
    why = "is missing" if code == "22023" else "is not granted to this login"
    help = (
        "run `digitwin db roles --apply` as an administrator (with `--login NAME` for a service's"
        " login)"
    )
    if code == "42501" and role == RETENTION:
        help = f"a service's login does not get it; use the owner of the tables, or grant {role}"
    return errors.ConfigurationError(
        f"The database role {role} {why}: {help}",
        field="role",
        role=role,
        sqlstate=code,
    )


def _constraint_error(fault: asyncpg.PostgresError, code: str) -> errors.DigiTwinError:
    constraint = getattr(fault, "constraint_name", None) or ""
    field = getattr(fault, "column_name", None) or field_of(constraint)
    details = {"field": field, "constraint": constraint, "sqlstate": code}
    if code == "23505":
        if field == "id":  # the key or the unique index on it: which one tells who owns the row
            del details["constraint"]
        return errors.AlreadyExistsError(f"{field} is already taken", **details)
    if code == "23503":
        return errors.NotFoundError(f"{field} refers to a row that does not exist", **details)
    return errors.InvalidInputError(f"{field} violates a constraint of the database", **details)


def field_of(constraint: str) -> str:
    """Return the field of a constraint: ``uq_users__email`` is ``email``, a primary key ``id``."""
    _, found, field = constraint.partition("__")
    return field if found else "id"


def _connection_lost(
    fault: BaseException, *, write: bool, timed_out: bool = False
) -> errors.ConnectionFailedError:
    if write:
        return errors.OutcomeUnknownError(cause=type(fault).__name__)
    if timed_out:
        return errors.QueryTimeoutError("The server did not reply in time")
    return errors.ConnectionFailedError(
        f"The connection broke: {fault or type(fault).__name__}", cause=type(fault).__name__
    )


_CONNECT_ERRORS = {
    "28P01": "the password is wrong",
    "28000": "the server rejected this user",
    "3D000": "the database does not exist: create it, or change the URL",
    "42501": "this user lacks the privilege",
}


def of_connecting(fault: BaseException, where: str) -> errors.ConnectionFailedError | None:
    """Translate a failed connection attempt; ``where`` is the address without its password."""
    scrub(fault)
    if isinstance(fault, asyncpg.PostgresError):
        code = fault.sqlstate or ""
        error = errors.ConnectionFailedError(
            f"Cannot connect to {where}: {_CONNECT_ERRORS.get(code, str(fault))}", sqlstate=code
        )
        if code in _CONNECT_ERRORS:
            error.retryable = False  # type: ignore[misc]
        return error
    if isinstance(fault, TimeoutError):
        return errors.ConnectionFailedError(
            f"Cannot connect to {where}: no reply within `connect_timeout`"
        )
    if isinstance(fault, DRIVER):
        return errors.ConnectionFailedError(f"Cannot connect to {where}: {fault}")
    return None
