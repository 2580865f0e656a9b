"""The base of every repository: the core of its handle and the scope of its calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar
from uuid import UUID

from digitwin.errors import InvalidInputError, InvalidStateError, NotFoundError
from digitwin.kernel.connection.transactions import Transaction
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import parse_id

Row = TypeVar("Row")


class Repository:
    """A group of methods of a handle.

    Args:
        scope: the person that every call is bound to, if any.
    """

    def __init__(self, core: Core, *, scope: UUID | None = None) -> None:
        self._core = core
        self._scope = scope

    def _owner(self, user_id: object = None) -> UUID | None:
        """Return the person a call is about: the argument, else the scope, else None.

        Raises:
            NotFoundError: the scope is bound to another person.
        """
        if user_id is None:
            return self._scope
        owner = parse_id(user_id, "user_id")
        if self._scope is not None and owner != self._scope:
            raise NotFoundError("user not found", field="user_id", user_id=str(owner))
        return owner

    def _require_owner(self, user_id: object = None) -> UUID:
        """Return the person a call is about; errors as :meth:`_owner`.

        Raises:
            InvalidInputError: neither the argument nor the scope names one.
        """
        owner = self._owner(user_id)
        if owner is None:
            raise InvalidInputError(
                "user_id is missing: pass it, or use db.for_user(user_id)", field="user_id"
            )
        return owner

    def _savepoint(self) -> AbstractAsyncContextManager[None]:
        """Keep a failed statement from aborting the open transaction, if there is one.

        It costs two round trips inside a transaction, and nothing outside.
        """
        inside = Transaction.of(self._core.pool) is not None
        return self._core.transaction() if inside else nullcontext()


def the_only(rows: Sequence[Row], what: str, id: object) -> Row | None:
    """Return the row that was found by its id alone, or None.

    On one server a unique index says that there is one; a distributed schema cannot have it.

    Raises:
        InvalidStateError: rows of two people have the id.
    """
    if len(rows) > 1:
        raise InvalidStateError(
            f"More than one {what} has this id: name its owner, with user_id or"
            " db.for_user(user_id)",
            field="id",
            id=str(id),
        )
    return rows[0] if rows else None


def owner_not_found(user_id: UUID) -> NotFoundError:
    """Return the error for an owner who is missing or deleted."""
    return NotFoundError("user not found", field="user_id", user_id=str(user_id))
