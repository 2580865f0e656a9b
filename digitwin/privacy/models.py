"""The tables of erasures and of artifacts still to be deleted from external storage."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.fields.db_defaults import Now

from digitwin.kernel.orm.encrypted_text import EncryptedText
from digitwin.kernel.orm.model import Model
from digitwin.kernel.primitives.ids import uuid7


class Erasure(Model):
    """An erasure; identifies the erased only by a hash. Running while ``completed_at`` is null."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    subject = fields.CharField(max_length=16)
    subject_hash = fields.CharField(max_length=64)
    reason = fields.CharField(max_length=500)
    counts: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    begun_at = fields.DatetimeField(db_default=Now())
    completed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "erasures"


class ArtifactDeletion(Model):
    """An artifact waiting for the deletion hook; its address is encrypted."""

    id = fields.UUIDField(primary_key=True)
    erasure_id = fields.UUIDField(null=True)
    kind = fields.CharField(max_length=16)
    address = EncryptedText()
    attempts = fields.IntField(default=0)
    due_at = fields.DatetimeField(db_default=Now())
    error = fields.CharField(max_length=200, null=True)
    created_at = fields.DatetimeField(db_default=Now())

    class Meta:
        table = "artifact_deletions"
