"""The tables of the audit trail and its seals."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import NOBODY, uuid7


class AuditLog(Model):
    """A record: ``user_id`` is the person concerned, ``actor_id`` who did it.

    The database refuses every UPDATE, and every DELETE except by a purge or an erasure.
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


class AuditSeal(Model):
    """A batch of records under one digest, linked to the seal before.

    ``horizon``: all records dated before it are in this seal or an earlier one.
    ``running``: the transactions that were open, whose records may still appear.
    """

    number = fields.BigIntField(primary_key=True, generated=False)
    created_at = fields.DatetimeField()
    horizon = fields.DatetimeField(null=True)
    newest = fields.DatetimeField(null=True)
    running = fields.TextField()
    records = fields.IntField()
    root = fields.BinaryField()
    previous = fields.BinaryField()
    head = fields.BinaryField()
    key_id = fields.CharField(max_length=200, null=True)
    algorithm = fields.CharField(max_length=32)
    signature = fields.BinaryField(null=True)

    class Meta:
        table = "audit_seals"


class AuditLeaf(Model):
    """The digests of one record in a seal, and the salts of its commitments."""

    record_id = fields.UUIDField(primary_key=True)
    seal = fields.BigIntField()
    place = fields.IntField()
    created_at = fields.DatetimeField()
    content = fields.BinaryField()
    leaf = fields.BinaryField()
    commitments = fields.BinaryField()
    salts = fields.BinaryField()

    class Meta:
        table = "audit_leaves"


class AuditCheckpoint(Model):
    """A purge on record: records older than ``removed_before`` may be missing, and the seals up
    to ``seal`` and their leaves are removed."""

    number = fields.BigIntField(primary_key=True, generated=False)
    created_at = fields.DatetimeField()
    removed_before = fields.DatetimeField()
    seal = fields.BigIntField()
    seal_head = fields.BinaryField()
    records = fields.BigIntField()
    head = fields.BinaryField()
    key_id = fields.CharField(max_length=200, null=True)
    algorithm = fields.CharField(max_length=32)
    signature = fields.BinaryField(null=True)

    class Meta:
        table = "audit_checkpoints"
