"""The table of the audit trail."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.fields.db_defaults import Now

from digitwin.kernel.base import Model
from digitwin.kernel.ids import NOBODY, uuid7


class AuditLog(Model):
    """Somebody did something; ``user_id`` is whom it concerns, ``actor_id`` who did it.

    The database refuses every UPDATE, and DELETE to all but the upkeep.
    """

    id = fields.UUIDField(primary_key=True, default=uuid7)
    user_id = fields.UUIDField(default=NOBODY)
    action = fields.CharField(max_length=100)
    resource = fields.CharField(max_length=100)
    resource_id = fields.CharField(max_length=200, null=True)
    actor_id = fields.UUIDField(null=True)
    result = fields.CharField(max_length=16, default="success")
    ip_address = fields.CharField(max_length=45, null=True)
    user_agent = fields.CharField(max_length=1000, null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "audit_logs"
