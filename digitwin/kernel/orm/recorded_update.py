"""A queryset's ``update()`` of a recorded model: every changed row has its audit record.

One statement locks the rows that match, changes them and records what changed, as a repository's
update of one row does. Tortoise builds the conditions and the new values.
"""

from __future__ import annotations

from typing import Any

from pypika_tortoise.terms import Parameterizer
from tortoise.queryset import UpdateQuery

from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.queries import compiled

_TOUCHED = ("updated_at", "version")


class RecordedUpdateQuery(UpdateQuery):
    """The update that Tortoise makes, within a statement that records it."""

    __slots__ = ()

    async def _execute(self) -> int:
        sql, values = self._recorded()
        (answer,) = await self._db.execute_query_dict(sql, values)
        return int(answer["changed"])

    def _recorded(self) -> tuple[str, list[Any]]:
        """Return the statement and its parameters: Tortoise's, then those of the records."""
        parameterizer = Parameterizer()
        context = self.query.QUERY_CLS.SQL_CONTEXT.copy(parameterizer=parameterizer)
        table = self.model._meta.basetable
        found = self._db.query_class.from_(table).select(table.id)
        found._wheres, self.query._wheres = self.query._wheres, None
        rows = found.get_sql(context)
        update = self.query.get_sql(context)
        clauses = rows[rows.index(" FROM ") :]
        steps = audit_step.update_many(self.model, self._names(), clauses, update)
        query = compiled(
            f"WITH {steps} SELECT count(*) AS changed FROM done", len(parameterizer.values)
        )
        return query.sql, [*parameterizer.values, *query.bind({})]

    def _names(self) -> list[str]:
        """Return the columns that are set, without those that every update sets."""
        fields = self.model._meta.fields_map
        names = (getattr(fields[name], "source_field", None) or name for name in self.update_kwargs)
        return [name for name in names if name not in _TOUCHED]
