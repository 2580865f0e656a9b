"""The tables of users.

Constraints, indexes and triggers of every table stand in the migrations. A closed set of
values is text here and a CHECK there: a value that a newer release has added can still be
read by an older one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tortoise import fields

from digitwin.kernel.base import Model, SoftDeleteEntity

if TYPE_CHECKING:
    from tortoise.models import Model as AnyModel


class User(SoftDeleteEntity):
    """Whoever owns a twin."""

    create_through: ClassVar[str] = "db.users.create(email=…, name=…)"
    change_through: ClassVar[dict[str, str]] = {"email": "db.users.update(id, email=…)"}
    delete_through: ClassVar[str | None] = "db.users.delete(id)"

    resource: ClassVar[str] = "user"
    audited: ClassVar[tuple[str, ...]] = ("email", "name", "subscription_tier")
    actions: ClassVar[dict[str, str]] = {"subscription_tier": "tier_change"}

    looked_up: ClassVar[dict[str, str]] = {
        "email": "id = (SELECT user_id FROM user_emails WHERE address = {})"
    }
    """Filters that ask another table: who has an address is known by its unique form."""

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


class UserEmail(Model):
    """The addresses of the living: the key keeps each one's owner unique."""

    address = fields.CharField(max_length=320, primary_key=True)
    user_id = fields.UUIDField()

    class Meta:
        table = "user_emails"
