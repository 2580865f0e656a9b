"""The tables of voice and face models."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model as AnyModel

from digitwin.kernel.orm.encrypted_fields import EncryptedFields
from digitwin.kernel.orm.encrypted_text import EncryptedText
from digitwin.kernel.orm.model import SoftDeleteEntity


class Likeness(EncryptedFields, SoftDeleteEntity):
    """Columns of voice and face models."""

    encrypted: ClassVar[tuple[str, ...]] = ("artifact_uri", "checksum")
    audited: ClassVar[tuple[str, ...]] = (
        "name",
        "provider",
        "status",
        "quality_score",
        "is_active",
    )

    name = fields.CharField(max_length=200)
    provider = fields.CharField(max_length=100, null=True)
    artifact_uri = EncryptedText(null=True)
    checksum = EncryptedText(null=True)
    status = fields.CharField(max_length=16, default="pending")
    quality_score = fields.FloatField(null=True)
    is_active = fields.BooleanField(default=False)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)

    class Meta:
        abstract = True


class VoiceModel(Likeness):
    """A trained voice of a user."""

    resource: ClassVar[str] = "voice_model"
    create_through: ClassVar[str] = "db.voices.create(user_id=…, name=…)"
    change_through: ClassVar[dict[str, str]] = {
        "status": "db.voices.update(id, status=…)",
        "artifact_uri": "db.voices.update(id, artifact_uri=…)",
        "checksum": "db.voices.update(id, checksum=…)",
        "is_active": "db.voices.activate(id) or db.voices.deactivate(id)",
    }

    user: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.User", related_name="voice_models", db_constraint=False
    )
    user_id: UUID

    class Meta:
        table = "voice_models"


class FaceModel(Likeness):
    """A trained face of a user."""

    resource: ClassVar[str] = "face_model"
    create_through: ClassVar[str] = "db.faces.create(user_id=…, name=…)"
    change_through: ClassVar[dict[str, str]] = {
        "status": "db.faces.update(id, status=…)",
        "artifact_uri": "db.faces.update(id, artifact_uri=…)",
        "checksum": "db.faces.update(id, checksum=…)",
        "is_active": "db.faces.activate(id) or db.faces.deactivate(id)",
    }

    user: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.User", related_name="face_models", db_constraint=False
    )
    user_id: UUID

    class Meta:
        table = "face_models"
