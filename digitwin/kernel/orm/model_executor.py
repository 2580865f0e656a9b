"""Tortoise's executor on one handle: reads and writes of models and querysets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tortoise.expressions import Expression
from tortoise.fields.base import DatabaseDefault
from tortoise.models import Model

from digitwin.errors import InvalidStateError, StaleVersionError
from digitwin.kernel.orm import active_handle, writes
from digitwin.kernel.orm.active_handle import TortoiseExecutor
from digitwin.kernel.orm.parent_visibility import parent_of, parents_locked
from digitwin.kernel.orm.relations import with_same_owners
from digitwin.kernel.sql import audit_step
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import Query, compiled

_TOUCHED = {"updated_at": '"updated_at" = now()', "version": '"version" = "version" + 1'}
_RETURNED = ("created_at", "updated_at", "version")
"""Set on the instance after each save, whatever their values were before."""


class ModelExecutor(TortoiseExecutor):
    """Reads from one handle alone; a save never overwrites a concurrent change."""

    async def execute_select(self, *args: Any, **kwargs: Any) -> list[Any]:
        with active_handle.activated(self._client):
            return await super().execute_select(*args, **kwargs)

    async def execute_union(self, *args: Any, **kwargs: Any) -> list[Any]:
        with active_handle.activated(self._client):
            return await super().execute_union(*args, **kwargs)

    async def _execute_prefetch_queries(self, instance_list: Any) -> Any:
        # Sequentially, not with gather(): a transaction belongs to the task that opened it.
        if instance_list and (self.prefetch_map or self._prefetch_queries):
            with active_handle.activated(self._client):
                self._make_prefetch_queries()
                for name, queries in self._prefetch_queries.items():
                    for to, query in queries:
                        await self._do_prefetch(instance_list, name, (to, query.using_db(self.db)))
        return instance_list

    async def _prefetch_reverse_relation(
        self, instance_list: Any, field: str, related_query: Any
    ) -> Any:
        name, rows = related_query
        rows = with_same_owners(rows, instance_list)
        return await super()._prefetch_reverse_relation(instance_list, field, (name, rows))

    async def execute_insert(self, instance: Model) -> None:
        writes.refuse_creation(self.model)
        for name in self.model._meta.fields_db_projection:
            value = getattr(instance, name)
            if not isinstance(value, DatabaseDefault):
                writes.to_column(self.model, name, value, instance)
        async with parents_locked(self.db, self.model, [instance]):
            await super().execute_insert(instance)
        instance.__dict__["_origin"] = self._client.origin

    async def execute_update(
        self, instance: type[Model] | Model, update_fields: Iterable[str] | None
    ) -> int:
        query, values = self._update(instance, writes.saved_columns(self.model, update_fields))
        rows = await self._client.execute_query_dict(query.sql, query.bind(values))
        if not rows:
            raise await self._refusal(instance)
        for name, value in rows[0].items():
            setattr(instance, name, value)
        return 1

    def _update(self, instance: Any, names: list[str]) -> tuple[Query, dict[str, Any]]:
        """Return the statement that saves these columns, and its values."""
        meta, repository_only = self.model._meta, writes.repository_only(self.model)
        changed = [name for name in names if name not in repository_only]
        key, unchanged = self._key(), self._compared(instance)
        sets = [_term(name) for name in changed]
        sets += [term for name, term in _TOUCHED.items() if name in meta.fields_map]
        conditions = [_term(name) for name in key]
        conditions += [_term(name, "IS NOT DISTINCT FROM") for name in unchanged]
        if "deletion_id" in meta.fields_map:
            conditions.append('"deleted_at" IS NULL')
        if (parent := parent_of(self.model)) is not None:
            conditions.append(parent.is_alive(meta.db_table))
        where = f" WHERE {' AND '.join(conditions)}"
        values = {name: self._value(instance, name) for name in (*changed, *key, *unchanged)}
        return self._save_query(changed, sets, where), values

    def _save_query(self, changed: list[str], sets: list[str], where: str) -> Query:
        meta = self.model._meta
        returned = [name for name in _RETURNED if name in meta.fields_map] or [meta.db_pk_column]
        if audit_step.is_recorded(self.model):
            steps = audit_step.update(self.model, changed, sets, where, columns(self.model, "t."))
        else:
            update = f'UPDATE "{meta.db_table}" SET {", ".join(sets)}{where}'
            steps = f"done AS ({update} RETURNING {', '.join(returned)})"
        return compiled(f"WITH {steps} SELECT {', '.join(returned)} FROM done")

    def _compared(self, instance: Any) -> list[str]:
        """Return the fields only a repository changes, of which the instance knows the value.

        The statement compares them, so that a change made on the instance is refused instead
        of ignored.
        """
        return [
            name
            for name in writes.repository_only(self.model)
            if name in instance.__dict__ and not writes.is_as_decrypted(instance, name)
        ]

    def _key(self) -> list[str]:
        """Return what identifies the row at the version that was read."""
        meta = self.model._meta
        return [name for name in (meta.pk_attr, "user_id", "version") if name in meta.fields_map]

    def _value(self, instance: Any, name: str) -> Any:
        if name not in instance.__dict__:
            raise InvalidStateError(f"{name} was not loaded: `refresh_from_db()` first", field=name)
        value = instance.__dict__[name]
        if isinstance(value, Expression):
            raise InvalidStateError(f"{name} is an expression: use a queryset's update()")
        return writes.to_column(self.model, name, value, instance)

    async def _refusal(self, instance: Any) -> InvalidStateError | StaleVersionError:
        """Return why no row was updated."""
        rows = self.model._meta.manager.get_queryset().using_db(self.db)
        row = await rows.filter(pk=instance.pk).first()
        if row is not None and getattr(row, "version", None) == instance.__dict__.get("version"):
            if getattr(row, "user_id", None) != instance.__dict__.get("user_id"):
                return InvalidStateError("user_id never changes", field="user_id")
            for name in self._compared(instance):
                if getattr(row, name) != instance.__dict__[name]:
                    return writes.through_repository(self.model, name)
        return StaleVersionError(table=self.model._meta.db_table, id=str(instance.pk))

    @property
    def _client(self) -> active_handle.Client:
        return cast(active_handle.Client, self.db)


def _term(name: str, sign: str = "=") -> str:
    return f'"{name}" {sign} :{name}'
