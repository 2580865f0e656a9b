"""The model of memories.

Its key is composite, which Tortoise does not support: rows are read and written by this package's
own statements only. The model exists for Aerich.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tortoise import fields
from tortoise.contrib.postgres.fields import TSVectorField
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.model import Model
from digitwin.kernel.orm.parent_visibility import ParentVisibility


class StoredMemory(Model):
    """A row of ``memories``; hidden while its owner is deleted."""

    hidden_with: ClassVar[ParentVisibility | None] = ParentVisibility(
        "users", "user", {"id": "user_id"}
    )

    resource: ClassVar[str] = "memory"

    user_id = fields.UUIDField()
    audience = fields.CharField(max_length=8)
    namespace = fields.TextField()
    key = fields.CharField(max_length=1000, primary_key=True)
    value: fields.Field[dict[str, Any]] = fields.JSONField()
    language = fields.TextField()
    words = TSVectorField(null=True)
    ttl_seconds = fields.FloatField(null=True)
    expires_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField(db_default=Now())
    updated_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "memories"
