"""Related rows are asked for by their owner too, who leads every key of a person's tables.

Tortoise asks by the relation's own column alone. No index begins with a turn's session, so the
turns of one session would cost a look at everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tortoise.queryset import QuerySet


def of_their_owners(rows: QuerySet[Any], instances: Iterable[Any]) -> QuerySet[Any]:
    """The rows narrowed to the owners of these instances, where both kinds have one."""
    if "user_id" not in rows.model._meta.fields_map:
        return rows
    owners = {getattr(instance, "user_id", None) for instance in instances}
    return rows if None in owners else rows.filter(user_id__in=owners)
