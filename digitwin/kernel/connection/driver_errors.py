"""What the driver raises, in digitwin's words.

PostgreSQL's SQLSTATE decides, never a message's text. A constraint carries its field in
its name (``uq_users__email``), so that the error can name it too.
"""

from __future__ import annotations

import asyncpg

from digitwin import errors

_FIELD_OF_CODE = {"54000": "content"}
"""54000, program limit exceeded: the only limit our rows can meet is a tsvector's 1 MB."""

_BUSY = {
    "57014": "The statement ran past `statement_timeout` and was cancelled",
    "55P03": "A lock was not granted within `lock_timeout`",
    "40P01": "The statement met a deadlock and was rolled back",
    "40001": "The transaction met a concurrent change and was rolled back",
}
_GONE = {"57P01", "57P02", "57P03", "57P05", "25P03", "53300", "08000", "08001", "08003", "08006"}
_SCHEMA = {"42P01", "42703", "42883", "3F000"}

OUT_OF_STEP = asyncpg.InternalClientError
"""The driver met what it did not expect, as the server's farewell before the connection's end:
such a connection is of no more use, though it looks open."""

DRIVER = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OUT_OF_STEP,
    OSError,
    TimeoutError,
    EOFError,
)
"""Everything asyncpg raises for a statement; whatever else comes is a defect and passes."""


def translate(
    fault: BaseException, *, write: bool = False, sent: bool = True
) -> errors.DigiTwinError | None:
    """The error a caller sees for this fault, or None when it is none of the driver's.

    Args:
        write: the statement commits by itself, so that a lost answer leaves it unknown.
        sent: False where nothing can have reached the server yet.
    """
    if isinstance(fault, asyncpg.PostgresError):
        return _of_server(fault, write=write and sent)
    if isinstance(
        fault, asyncpg.DataError | asyncpg.exceptions._base.UnsupportedClientFeatureError
    ):
        return errors.InvalidInputError(str(fault), field="value")
    if isinstance(fault, TimeoutError):
        return _lost(fault, write=write and sent, timed_out=True)
    if isinstance(fault, asyncpg.InterfaceError):
        return errors.ConnectionFailedError(f"The connection cannot be used: {fault}")
    if isinstance(fault, OSError | EOFError | OUT_OF_STEP):
        return _lost(fault, write=write and sent)
    return None


def _of_server(fault: asyncpg.PostgresError, *, write: bool) -> errors.DigiTwinError:
    code = fault.sqlstate or ""
    if code in _BUSY:
        return errors.QueryTimeoutError(_BUSY[code], sqlstate=code)
    if isinstance(fault, asyncpg.PostgresConnectionError) or code in _GONE:
        return _lost(fault, write=write)
    if code.startswith("23"):
        return _of_constraint(fault, code)
    if code.startswith("22") or code in _FIELD_OF_CODE:
        field = _FIELD_OF_CODE.get(code, "value")
        return errors.InvalidInputError(str(fault), field=field, sqlstate=code)
    if code in _SCHEMA:
        return errors.MigrationRequiredError(
            f"The schema does not fit this version of digitwin ({fault}):"
            " run `digitwin db upgrade`",
            sqlstate=code,
        )
    if code == "42501":
        return errors.InvalidStateError(f"The database refuses this: {fault}", sqlstate=code)
    if code == "P0001" or code == "25006":
        return errors.InvalidStateError(str(fault), sqlstate=code)
    return errors.DigiTwinError(f"The database failed: {fault}", sqlstate=code)


def unscoped(fault: BaseException) -> errors.ScopeRequiredError | None:
    """What a refused right means for a statement that named nobody, or None."""
    if getattr(fault, "sqlstate", None) != "42501":
        return None
    return errors.ScopeRequiredError(
        f"The database refuses this to a call without a scope ({fault}): use"
        " db.for_user(user_id) or db.for_service(reason=…), or log in as one who may",
        sqlstate="42501",
    )


def of_role(fault: BaseException, role: str) -> errors.DigiTwinError | None:
    """As :func:`translate`, for a statement that takes on a role."""
    code = getattr(fault, "sqlstate", None)
    if code not in ("22023", "42501"):
        return translate(fault)
    why = "is missing" if code == "22023" else "is not given to whoever logged in"
    return errors.ConfigurationError(
        f"The database's role {role} {why}: run `digitwin db roles --apply`"
        " as the database's administrator (`--login NAME` for a service's own login)",
        field="role",
        role=role,
        sqlstate=code,
    )


def _of_constraint(fault: asyncpg.PostgresError, code: str) -> errors.DigiTwinError:
    constraint = getattr(fault, "constraint_name", None) or ""
    field = getattr(fault, "column_name", None) or field_of(constraint)
    details = {"field": field, "constraint": constraint, "sqlstate": code}
    if code == "23505":
        return errors.AlreadyExistsError(f"{field} is taken", **details)
    if code == "23503":
        return errors.NotFoundError(f"{field} names nothing that exists", **details)
    return errors.InvalidInputError(f"{field} is outside what the database accepts", **details)


def field_of(constraint: str) -> str:
    """``uq_users__email`` speaks of ``email``; a primary key of ``id``."""
    _, found, field = constraint.partition("__")
    return field if found else "id"


def _lost(
    fault: BaseException, *, write: bool, timed_out: bool = False
) -> errors.ConnectionFailedError:
    if write:
        return errors.OutcomeUnknownError(cause=type(fault).__name__)
    if timed_out:
        return errors.QueryTimeoutError("The server did not answer in time")
    return errors.ConnectionFailedError(
        f"The connection broke: {fault or type(fault).__name__}", cause=type(fault).__name__
    )


_START_UP = {
    "28P01": "the password is wrong",
    "28000": "the server does not let this user in",
    "3D000": "the database does not exist: create it, or name another in the URL",
    "42501": "this user may not do that",
}


def of_connecting(fault: BaseException, where: str) -> errors.ConnectionFailedError | None:
    """What a failed connection attempt means; ``where`` is the address without its password."""
    if isinstance(fault, asyncpg.PostgresError):
        code = fault.sqlstate or ""
        error = errors.ConnectionFailedError(
            f"Cannot connect to {where}: {_START_UP.get(code, str(fault))}", sqlstate=code
        )
        if code in _START_UP:
            error.retryable = False  # type: ignore[misc]
        return error
    if isinstance(fault, TimeoutError):
        return errors.ConnectionFailedError(
            f"Cannot connect to {where}: no answer within `connect_timeout`"
        )
    if isinstance(fault, DRIVER):
        return errors.ConnectionFailedError(f"Cannot connect to {where}: {fault}")
    return None
