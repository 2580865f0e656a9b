"""The private parts of Tortoise that this package overrides or calls, checked at import.

Public Tortoise does not support several databases for one model, joins that skip deleted rows,
or generated hydration. Everything private is used for digitwin's own models alone, so another
Tortoise application in the process is not affected. Tortoise's minor version is pinned; if a
signature changes all the same, the import fails instead of a query returning wrong rows.
"""

from __future__ import annotations

import inspect
from typing import Any

from tortoise import expressions, query_utils, queryset
from tortoise.apps import Apps
from tortoise.backends.asyncpg.client import AsyncpgDBClient
from tortoise.backends.asyncpg.executor import AsyncpgExecutor
from tortoise.expressions import Q
from tortoise.fields.relational import ReverseRelation
from tortoise.models import MetaInfo, Model
from tortoise.queryset import BulkCreateQuery

JOINING_MODULES: tuple[Any, ...] = (query_utils, queryset, expressions)
"""Each imports ``get_joins_for_related_field`` by name."""

_SIGNATURES: dict[Any, dict[str, str]] = {
    # soft_delete_joins: joined rows must be alive
    query_utils: {"get_joins_for_related_field": "table related_field related_field_name"},
    Q: {"_process_filter_kwarg": "self model key value table"},
    # model: the client of each call, errors that name the field
    MetaInfo: {"db": "self"},
    Model: {
        "__setattr__": "self key value",
        "_choose_db": "for_write",
        "_db_queryset": "using_db for_write",
        "_getbypk": "key",
        "_init_from_db": "kwargs",
        "_set_kwargs": "self kwargs",
        "_validate_relation_type": "field_key value",
    },
    ReverseRelation: {
        "__init__": "self remote_model relation_field instance from_field",
        "_query": "self",
        "_raise_if_not_fetched": "self",
        "_set_result_for_query": "self sequence attr",
    },
    # managers: parents are locked before their new rows are inserted
    BulkCreateQuery: {
        "_execute_many": "self insert_sql insert_sql_all effective_columns effective_columns_all"
    },
    # model_executor: prefetch one query at a time, on the client of the instances
    AsyncpgExecutor: {
        "_do_prefetch": "self instance_id_list field related_query",
        "_execute_prefetch_queries": "self instance_list",
        "_make_prefetch_queries": "self",
        "_prefetch_reverse_relation": "self instance_list field related_query",
    },
    # client: connections of the pool, errors of the driver
    AsyncpgDBClient: {"_in_transaction": "self", "_translate_exceptions": "self func args kwargs"},
    # initialisation: models without a connection
    Apps: {"_build_initial_querysets": "self"},
}


def _signature(owner: Any, name: str) -> str:
    part = inspect.getattr_static(owner, name, None)
    part = part.fget if isinstance(part, property) else getattr(owner, name, None)
    return "" if part is None else " ".join(inspect.signature(part).parameters)


def _check() -> None:
    for owner, parts in _SIGNATURES.items():
        for name, signature in parts.items():
            if _signature(owner, name) != signature:
                raise ImportError(f"This Tortoise differs in {owner.__name__}.{name}")
    join = query_utils.get_joins_for_related_field
    if any(module.get_joins_for_related_field is not join for module in JOINING_MODULES):
        raise ImportError("This Tortoise joins tables in another way")


_check()
