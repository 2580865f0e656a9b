"""Prepares the models once per process, without touching any other Tortoise application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tortoise.apps import Apps
from tortoise.connection import ConnectionHandler
from tortoise.fields import JSONField
from tortoise.models import Model
from tortoise.queryset import QuerySet

from digitwin.kernel.orm import active_handle
from digitwin.kernel.orm.relations import BoundRelation
from digitwin.kernel.primitives import jsonb
from digitwin.kernel.sql.columns import register

APP = "digitwin"


def initialise(module: str) -> None:
    """Resolve the relations of this module's models, and register each by its table."""
    apps = Apps(
        {APP: {"models": [module], "default_connection": APP}},
        _NoConnections(),
        validate_connections=False,
    )
    apps._build_initial_querysets()
    for model in apps.get_models_iterable():
        _bind_relations(model)
        _bind_json(model)
        register(model)


class _NoConnections(ConnectionHandler):
    """Satisfies Tortoise, which requires a connection; models look up their own at each use."""

    def __init__(self) -> None:
        super().__init__()
        self._db_config = {APP: {}}


def _bind_relations(model: type[Model]) -> None:
    """Make relations query the database that their instance was read from."""
    for name in model._meta.fk_fields:
        forward = getattr(model, name)
        get, put = _forward(forward.fget), _validated(name, forward.fset)
        setattr(model, name, property(get, put, forward.fdel))
    for name in model._meta.backward_fk_fields:
        setattr(model, name, property(_reverse(model._meta.fields_map[name], f"_{name}")))


def _bind_json(model: type[Model]) -> None:
    """Make JSON the repositories' JSON: Tortoise's own is orjson where that is installed.

    orjson reads an integer beyond 64 bits as a float, and writes NaN as null.
    """
    for field in model._meta.fields_map.values():
        if isinstance(field, JSONField):
            field.encoder, field.decoder = jsonb.dumps, jsonb.loads


def _forward(getter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get(instance: Any) -> Any:
        client = active_handle.client_of(instance)
        with active_handle.activated(client):
            found = getter(instance)
        # A query is bound to the client, since another handle may be active when it is awaited.
        return found.using_db(client) if isinstance(found, QuerySet) else found

    return get


def _validated(name: str, setter: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def put(instance: Any, value: Any) -> None:
        instance._validate_relation_type(name, value)
        setter(instance, value)

    return put


def _reverse(field: Any, key: str) -> Callable[[Any], Any]:
    return lambda instance: BoundRelation(field, instance, key)
