"""The cascade of a person's deletion: one step for each table whose rows are hidden with theirs.

The tables come from the registry, so a new table takes part once it is declared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from digitwin.kernel.sql.queries import Queries, Query
from digitwin.kernel.sql.tables import Table, hidden_with_owner

QUERIES = Queries(__package__)

_TOUCH = "version = version + 1, updated_at = now()"
_OF_DELETION = "WHERE user_id = :user_id AND deletion_id = :deletion_id"


def _hide(table: Table) -> str:
    also = f", {table.on_owner_deleted}" if table.on_owner_deleted else ""
    return (
        f"UPDATE {table.name} SET deleted_at = now(), deletion_id = :deletion_id, {_TOUCH}{also}"
        " WHERE user_id = :user_id AND deleted_at IS NULL"
    )


def _restore(table: Table) -> str:
    return f"UPDATE {table.name} SET deleted_at = NULL, deletion_id = NULL, {_TOUCH} {_OF_DELETION}"


def _remove(table: Table) -> str:
    return f"DELETE FROM {table.name} {_OF_DELETION}"


@cache
def hide_belongings() -> Query:
    """Return the query that hides everything the user owns and frees the address."""
    return _of_each_table("hide_belongings", _hide)


@cache
def restore_belongings() -> Query:
    """Return the query that restores exactly what one deletion hid, and the address."""
    return _of_each_table("restore_belongings", _restore)


@cache
def remove_hidden() -> Query:
    """Return the query that removes exactly what one deletion hid."""
    return _of_each_table("remove_hidden", _remove)


@cache
def hold_belongings() -> tuple[Query, ...]:
    """Return the queries that lock what a user owns who is locked: nothing is added to it."""
    tables = [table.name for table in hidden_with_owner()]
    each = [QUERIES.variant("hold_belongings", table=name) for name in tables]
    return (QUERIES["hold_participants"], *each)


def _of_each_table(name: str, step: Callable[[Table], str]) -> Query:
    steps = ", ".join(f"{table.name}_step AS ({step(table)})" for table in hidden_with_owner())
    return QUERIES.variant(name, steps=steps)
