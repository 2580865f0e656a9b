"""Subjects of an export or erasure, and the hashes that identify the erased.

A person's hash is the plain SHA-256 of their id: an id has more than 70 random bits, so it
cannot be guessed, and the database can compute it as well. A participant's ref may be a phone
number, which can be guessed: its hash is keyed with the setting ``erasure_pepper``, if set.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias, get_args
from uuid import UUID

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.participant import Kind
from digitwin.kernel.primitives.ids import one_spelling
from digitwin.kernel.primitives.validation import STRICT, line, validate

SubjectKind: TypeAlias = Literal["user", "participant"]
KINDS = get_args(SubjectKind)


def hash_of_user(user_id: UUID) -> str:
    """Return the hash that identifies an erased person."""
    return hashlib.sha256(str(user_id).encode()).hexdigest()


def hash_of_participant(participant: ParticipantRef, pepper: str | None) -> str:
    """Return the hash that identifies an erased participant."""
    return hash_of_ref(participant.kind, participant.ref, pepper)


def hash_of_ref(kind: str, ref: str, pepper: str | None) -> str:
    """Return the hash of a participant whose ref was erased in this spelling."""
    text = json.dumps(["participant", kind, ref])
    return hmac.new((pepper or "").encode(), text.encode(), "sha256").hexdigest()


@with_config(STRICT)
class _RefFields(TypedDict):
    kind: Kind
    ref: Annotated[str, line(200)]


_REF_FIELDS = TypeAdapter(_RefFields)


@dataclass(frozen=True, slots=True)
class ParticipantRef:
    """Identifies a participant across all owners; a UUID in ``ref`` in one spelling.

    Raises:
        InvalidInputError: names the invalid field.
    """

    kind: Kind
    ref: str = field(repr=False)

    def __post_init__(self) -> None:
        valid = validate(_REF_FIELDS, {"kind": self.kind, "ref": self.ref})
        # The text itself, whatever methods a subclass of `str` has
        object.__setattr__(self, "ref", one_spelling(str.__str__(valid["ref"])))
