"""Cache entries that were made from a person's rows go with the person, whoever stored them."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from digitwin.kernel.execution.executor import Statements
from digitwin.kernel.repository.ports import CacheForgetter
from digitwin.kernel.sql.queries import Query, compiled
from digitwin.kernel.sql.tables import TABLES


async def forget_person(on: Statements, entries: CacheForgetter, user_id: UUID) -> None:
    """Delete a person's cached entries, and others' with the tag of a row of theirs.

    Call it in the transaction that deletes, before the rows are removed.
    """
    rows = await on.fetch(_tags(), user_id=user_id)
    await entries.forget_user(user_id)
    if rows:
        await entries.forget_tags([row["tag"] for row in rows])


@cache
def _tags() -> Query:
    return compiled(
        " UNION ALL ".join(
            f"SELECT '{table.cache_tag}:' || id AS tag FROM {table.name} WHERE user_id = :user_id"
            for table in TABLES.values()
            if table.cache_tag
        )
    )
