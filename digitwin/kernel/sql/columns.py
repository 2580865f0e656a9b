"""The columns of a model, as statements list them."""

from __future__ import annotations

from tortoise.models import Model

_MODELS: dict[str, type[Model]] = {}


def register(model: type[Model]) -> None:
    """Make a model known by the name of its table; done once, when the models are wired up."""
    _MODELS[model._meta.db_table] = model


def of_table(table: str) -> type[Model]:
    """The model whose rows are in this table.

    Raises:
        ValueError: no model has it.
    """
    model = _MODELS.get(table)
    if model is None:
        raise ValueError(f"no model has the table {table!r}")
    return model


def columns(model: type[Model], prefix: str = "") -> str:
    """The model's columns for SELECT or RETURNING; complete once a handle was opened."""
    assert model._meta._inited, "columns are complete only once the models are wired up"
    return ", ".join(f'{prefix}"{name}"' for name in model._meta.fields_db_projection.values())


def nulls(model: type[Model]) -> str:
    """A NULL for each of :func:`columns`, of its type."""
    return ", ".join(f"NULL::{sql_type(model, name)}" for name in model._meta.fields_db_projection)


def sql_type(model: type[Model], name: str) -> str:
    """A column's type for a cast; without a length, to which a cast would truncate silently."""
    declared: str = model._meta.fields_map[name].get_for_dialect("postgres", "SQL_TYPE")
    bare = declared.partition("(")[0]
    return "text" if bare == "VARCHAR" else bare
