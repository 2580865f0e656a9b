"""What a deletion of a person takes along: one step for each table that hides with its owner.

The tables are the registry's: one that is declared takes part without an edit here.
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
    """Hide everything alive under one deletion; sessions end, the address is free again."""
    return _of_each_table("hide_belongings", _hide)


@cache
def restore_belongings() -> Query:
    """Restore exactly what one deletion took along, and the address."""
    return _of_each_table("restore_belongings", _restore)


@cache
def remove_hidden() -> Query:
    """Remove exactly what one deletion hid; returns how many deletions became final."""
    return _of_each_table("remove_hidden", _remove)


def _of_each_table(name: str, step: Callable[[Table], str]) -> Query:
    steps = ", ".join(f"{table.name}_step AS ({step(table)})" for table in hidden_with_owner())
    return QUERIES.get(name, steps=steps)
