"""The model of documents."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model as AnyModel

from digitwin.kernel.orm.model import SoftDeleteEntity


class KnowledgeDocument(SoftDeleteEntity):
    """A text that a twin knows.

    The table also has a generated column ``search_vector`` over title and content. It is not a
    field here, so that it is never loaded or written.
    """

    resource: ClassVar[str] = "document"
    audited: ClassVar[tuple[str, ...]] = ("title", "content_type", "visibility", "status")

    create_through: ClassVar[str] = "db.documents.create(user_id=…, title=…, content=…)"
    change_through: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "title",
            "content",
            "content_hash",
            "visibility",
            "status",
            "attempts",
            "worker",
            "lease_token",
            "lease_until",
        ),
        "db.documents.update(id, …)",
    )

    user: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.User", related_name="documents", db_constraint=False
    )
    user_id: UUID

    title = fields.CharField(max_length=500)
    content = fields.TextField()
    content_type = fields.CharField(max_length=100, default="text/plain")
    source_uri = fields.CharField(max_length=2048, null=True)
    content_hash = fields.CharField(max_length=64)
    visibility = fields.CharField(max_length=16, default="owner")
    status = fields.CharField(max_length=16, default="pending")
    error = fields.CharField(max_length=2000, null=True)
    attempts = fields.IntField(default=0)
    worker = fields.CharField(max_length=200, null=True)
    lease_token = fields.UUIDField(null=True)
    lease_until = fields.DatetimeField(null=True)
    metadata: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)

    class Meta:
        table = "knowledge_documents"
