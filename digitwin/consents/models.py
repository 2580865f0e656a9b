"""The model of consents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from tortoise import BaseDBAsyncClient, fields
from tortoise.fields.db_defaults import Now
from tortoise.models import Model as AnyModel

from digitwin.errors import InvalidStateError
from digitwin.kernel.orm.model import Model
from digitwin.kernel.orm.parent_visibility import ParentVisibility
from digitwin.kernel.primitives.ids import uuid7

_GRANT = "db.consents.grant(user_id, purpose=…, evidence=…)"


class Consent(Model):
    """A person's consent to one purpose; immutable, except that it can be withdrawn.

    ``withdrawn_at`` is set when it is withdrawn or replaced by a new one.
    """

    hidden_with: ClassVar[ParentVisibility | None] = ParentVisibility(
        "users", "user", {"id": "user_id"}
    )
    resource: ClassVar[str] = "consent"
    create_through: ClassVar[str] = _GRANT
    change_through: ClassVar[dict[str, str]] = {
        "purpose": _GRANT,
        "evidence": _GRANT,
        "granted_at": _GRANT,
        "expires_at": _GRANT,
        "withdrawn_at": "db.consents.withdraw(user_id, purpose=…)",
    }

    id = fields.UUIDField(primary_key=True, default=uuid7)
    user: fields.ForeignKeyRelation[AnyModel] = fields.ForeignKeyField(
        "digitwin.User", related_name="consents", db_constraint=False
    )
    user_id: UUID
    purpose = fields.CharField(max_length=16)
    evidence: fields.Field[dict[str, Any] | str] = fields.JSONField()
    granted_at = fields.DatetimeField(db_default=Now())
    expires_at = fields.DatetimeField(null=True)
    withdrawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "consents"

    async def save(
        self,
        using_db: BaseDBAsyncClient | None = None,
        update_fields: Iterable[str] | None = None,
        force_create: bool = False,
        force_update: bool = False,
    ) -> None:
        """Refuse to save: only the repository grants and withdraws consents.

        Raises:
            InvalidStateError: always; names the methods to use.
        """
        raise InvalidStateError(
            f"A consent cannot be changed: {_GRANT}, db.consents.withdraw(user_id, purpose=…)"
        )
