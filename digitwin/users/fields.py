"""Fields and filters of users."""

from __future__ import annotations

from typing import Annotated, Literal, Required
from uuid import UUID

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.validation import STRICT, JsonObject, line
from digitwin.users.emails import Email

Tier = Literal["free", "pro", "enterprise"]
Name = Annotated[str, line(200)]
Traits = Annotated[list[Annotated[str, line(500)]], Field(max_length=100)]


@with_config(STRICT)
class NewUser(TypedDict, total=False):
    """Fields of ``create``; ``email`` and ``name`` are required."""

    email: Required[Email]
    name: Required[Name]
    personality_traits: Traits
    settings: JsonObject
    subscription_tier: Tier


class NewUserRow(NewUser, total=False):
    """One row of ``create_many``: the fields of ``create``, and optionally ``id``."""

    id: UUID | str


@with_config(STRICT)
class UserChanges(TypedDict, total=False):
    """Fields of ``update``."""

    email: Email
    name: Name
    personality_traits: Traits
    settings: JsonObject
    subscription_tier: Tier


@with_config(STRICT)
class UserFilters(TypedDict, total=False):
    """Filters of ``list``, ``stream``, ``count`` and ``exists``.

    ``email`` matches the user who has the address now, without regard to case.
    """

    email: Email
    name: Name
    subscription_tier: Tier


@with_config(STRICT)
class DeletionFilters(TypedDict, total=False):
    """Filters of ``deletions``."""

    user_id: UUID | str


NEW = TypeAdapter(NewUser)
CHANGES = TypeAdapter(UserChanges)
FILTERS = TypeAdapter(UserFilters)
DELETION_FILTERS = TypeAdapter(DeletionFilters)
