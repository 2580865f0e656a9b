"""The columns of a model, as statements list them."""

from __future__ import annotations

from tortoise.models import Model


def columns(model: type[Model], prefix: str = "") -> str:
    """The model's columns for SELECT or RETURNING; known once a handle was opened."""
    assert model._meta._inited, "columns are complete only once the models are wired up"
    return ", ".join(f'{prefix}"{name}"' for name in model._meta.fields_db_projection.values())
