"""Owners of imported twins: one user per set of traits, identified by a derived e-mail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError
from digitwin.models import User


def email_of(traits: Iterable[str]) -> str:
    """Return the e-mail derived from a set of traits; its domain is reserved (RFC 2606)."""
    return f"persona-{_fingerprint(traits)}@import.example"


async def owner_of(db: Database, traits: list[str]) -> tuple[User, bool]:
    """Get or create the user with these traits; return also whether it was created."""
    email = email_of(traits)
    found = await db.users.find_by_email(email)
    if found is not None:
        return found, False
    name = f"Persona {_fingerprint(traits)}"
    try:
        return await db.users.create(email=email, name=name, personality_traits=traits), True
    except AlreadyExistsError:
        return await db.users.get_by_email(email), False


def _fingerprint(traits: Iterable[str]) -> str:
    """Return ten bytes of a digest; a billion sets collide with probability one in a million."""
    canonical = json.dumps(sorted(set(traits)), ensure_ascii=False).encode()
    return hashlib.sha256(canonical).hexdigest()[:20]
