"""A queryset's soft ``delete()``: one deletion event for each row, all in one transaction."""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import Any

from tortoise.models import Model
from tortoise.queryset import QuerySet

from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.orm_errors import translated_errors
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql import actor, audit_step
from digitwin.kernel.sql.queries import Query, compiled


class SoftDeleteQuery:
    """Awaitable that deletes the rows as their repository would, and returns how many."""

    def __init__(self, rows: QuerySet[Any], resource: str) -> None:
        self._rows = rows
        self._resource = resource

    def __await__(self) -> Generator[Any, None, int]:
        with translated_errors():
            return (yield from self._delete().__await__())

    async def _delete(self) -> int:
        client: Any = self._rows._db or active_handle.client()
        model: Any = self._rows.model
        async with client._in_transaction():
            rows = self._rows.using_db(client).filter(deleted_at__isnull=True)
            found = sorted(set(await rows.values_list("user_id", "id")))
            if not found:
                return 0
            owners, ids = zip(*found, strict=True)
            query = _soft_delete_many(model, self._resource)
            values = query.bind(
                {
                    "user_id": list(owners),
                    "id": list(ids),
                    "deletion_id": [uuid7() for _ in found],
                    "actor_id": actor.current().actor_id,
                    **audit_step.parameters(rows=len(found)),
                }
            )
            (answer,) = await client.execute_query_dict(query.sql, values)
            return int(answer["deleted"])


@cache
def _soft_delete_many(model: type[Model], resource: str) -> Query:
    table = model._meta.db_table
    return compiled(
        "WITH given AS (SELECT * FROM unnest(:user_id::uuid[], :id::uuid[], :deletion_id::uuid[])"
        " AS one (user_id, id, deletion)), owner AS (SELECT id FROM users WHERE id = ANY(:user_id)"
        f' ORDER BY id FOR KEY SHARE), done AS (UPDATE "{table}" AS t SET deleted_at = now(),'
        " deletion_id = given.deletion, version = t.version + 1, updated_at = now()"
        " FROM given JOIN owner ON owner.id = given.user_id"
        " WHERE t.user_id = given.user_id AND t.id = given.id AND t.deleted_at IS NULL"
        " RETURNING t.user_id, t.id, t.deletion_id), noted AS ("
        "INSERT INTO deletions (user_id, id, resource, resource_id, actor_id)"
        f" SELECT user_id, deletion_id, '{resource}', id, :actor_id::uuid FROM done),"
        f" recorded AS ({audit_step.insert(model, 'delete', many=True)})"
        " SELECT count(*) AS deleted FROM done"
    )
