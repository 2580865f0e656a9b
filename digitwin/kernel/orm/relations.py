"""Related rows are filtered by their owner too, which leads every key of personal tables.

Tortoise filters by the relation's own column alone. No index starts with a turn's session, so
reading the turns of one session would scan the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tortoise.queryset import QuerySet


def with_same_owners(rows: QuerySet[Any], instances: Iterable[Any]) -> QuerySet[Any]:
    """Return the rows filtered by the owners of these instances, where both have an owner."""
    if "user_id" not in rows.model._meta.fields_map:
        return rows
    owners = {getattr(instance, "user_id", None) for instance in instances}
    return rows if None in owners else rows.filter(user_id__in=owners)
