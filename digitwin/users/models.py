"""The models of users, their addresses and their deletions.

Constraints, indexes and triggers of all tables are in the migrations. Enumerations are text in
the model and a CHECK in the migration, so that an older release can read a value that a newer
one has added.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tortoise import fields
from tortoise.fields.db_defaults import Now
from tortoise.models import Model as AnyModel

from digitwin.kernel.orm.model import Model, SoftDeleteEntity


class User(SoftDeleteEntity):
    """The owner of a twin."""

    resource: ClassVar[str] = "user"

    create_through: ClassVar[str] = "db.users.create(email=…, name=…)"
    change_through: ClassVar[dict[str, str]] = {"email": "db.users.update(id, email=…)"}

    audited: ClassVar[tuple[str, ...]] = ("email", "name", "subscription_tier")
    actions: ClassVar[dict[str, str]] = {"subscription_tier": "tier_change"}

    looked_up: ClassVar[dict[str, str]] = {
        "email": "id = (SELECT user_id FROM user_emails WHERE address = :email)"
    }
    """Filters answered by another table: an address is looked up by its unique form."""

    email = fields.CharField(max_length=320)
    name = fields.CharField(max_length=200)
    personality_traits: fields.Field[list[str]] = fields.JSONField(default=list)
    settings: fields.Field[dict[str, Any]] = fields.JSONField(default=dict)
    subscription_tier = fields.CharField(max_length=16, default="free")

    voice_models: fields.ReverseRelation[AnyModel]
    face_models: fields.ReverseRelation[AnyModel]
    sessions: fields.ReverseRelation[AnyModel]
    documents: fields.ReverseRelation[AnyModel]

    class Meta:
        table = "users"


class Deletion(Model):
    """The event of a soft deletion: who deleted what, when and why, and how it ended.

    ``resource`` (user, voice_model, face_model, session, document) and ``resource_id`` are the
    deleted row, or the first of several that a queryset deleted; every row that was deleted with
    it has the event's id as ``deletion_id``. ``restored_at`` is set by a restore, ``final_at``
    when a restore is no longer possible. The events of a person are removed with the person.
    """

    create_through: ClassVar[str] = "a repository's delete(id, reason=…)"
    change_through: ClassVar[dict[str, str]] = dict.fromkeys(
        ("resource", "resource_id", "reason", "actor_id", "restored_at", "final_at"),
        "a repository's restore(id)",
    )

    id = fields.UUIDField(primary_key=True)
    user_id = fields.UUIDField()
    resource = fields.CharField(max_length=16)
    resource_id = fields.UUIDField()
    reason = fields.CharField(max_length=500, null=True)
    actor_id = fields.UUIDField(null=True)
    deleted_at = fields.DatetimeField(db_default=Now())
    restored_at = fields.DatetimeField(null=True)
    final_at = fields.DatetimeField(null=True)

    class Meta:
        table = "deletions"


class UserEmail(Model):
    """The address of each user who is not deleted; its primary key keeps addresses unique."""

    address = fields.CharField(max_length=320, primary_key=True)
    user_id = fields.UUIDField()

    class Meta:
        table = "user_emails"
