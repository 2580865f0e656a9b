"""The owners of imported twins: one for each set of traits, found again by its e-mail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError
from digitwin.models import User


def email_of(traits: Iterable[str]) -> str:
    """The e-mail of whoever has these traits, in whatever order; at a domain nobody can own."""
    return f"persona-{_mark(traits)}@import.example"


async def owner_of(db: Database, traits: list[str]) -> tuple[User, bool]:
    """The user with these traits, and whether this call created them."""
    email = email_of(traits)
    found = await db.users.find_by_email(email)
    if found is not None:
        return found, False
    name = f"Persona {_mark(traits)}"
    try:
        return await db.users.create(email=email, name=name, personality_traits=traits), True
    except AlreadyExistsError:
        return await db.users.get_by_email(email), False


def _mark(traits: Iterable[str]) -> str:
    """Ten bytes of a digest: two sets among a billion meet with one in a million."""
    canonical = json.dumps(sorted(set(traits)), ensure_ascii=False).encode()
    return hashlib.sha256(canonical).hexdigest()[:20]
