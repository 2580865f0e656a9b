"""Subjects of an export or erasure, and the hashes that identify the erased.

A person's hash is the plain SHA-256 of their id: an id has more than 70 random bits, so it
cannot be guessed, and the database can compute it as well. So is that of a guest without a ref,
who has no lasting name, but for the id of their session, or their own. A participant's ref may be
a phone number, which can be guessed: its hash is keyed with the setting ``erasure_pepper``, if set.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args
from uuid import UUID

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.participant import Kind
from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import one_spelling, parse_id
from digitwin.kernel.primitives.validation import STRICT, line, validate
from digitwin.kernel.sql.spelling import spellings

SubjectKind: TypeAlias = Literal["user", "participant"]
KINDS = get_args(SubjectKind)


def hash_of_user(user_id: UUID) -> str:
    """Return the hash that identifies an erased person."""
    return hashlib.sha256(str(user_id).encode()).hexdigest()


def hash_of_participant(participant: Participant, pepper: str | None) -> str:
    """Return the hash that identifies an erased participant."""
    if isinstance(participant, Guest):
        return hashlib.sha256(f"{participant.by}:{participant.id}".encode()).hexdigest()
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

    @property
    def about(self) -> dict[str, str]:
        """Who an export is about, for its manifest."""
        return {"kind": self.kind, "ref": self.ref}


@dataclass(frozen=True, slots=True)
class Guest:
    """Identifies a participant without a ref: by their session, or by their own id."""

    by: Literal["session_id", "participant_id"]
    id: UUID

    @property
    def about(self) -> dict[str, str]:
        """Who an export is about, for its manifest."""
        return {self.by: str(self.id)}


Participant: TypeAlias = ParticipantRef | Guest


def participant_named(kind: Any, ref: Any, session_id: Any, participant_id: Any) -> Participant:
    """Return the participant that a call names, in one of three ways.

    Raises:
        InvalidInputError: names the invalid field, or one that is too many.
    """
    ids = {"session_id": session_id, "participant_id": participant_id}
    given = {name: value for name, value in ids.items() if value is not None}
    if not given:
        return ParticipantRef(kind, ref)
    name, value = given.popitem()
    too_many = [*given, *(n for n, v in (("kind", kind), ("ref", ref)) if v is not None)]
    if too_many:
        raise InvalidInputError(
            f"{too_many[0]} cannot be given together with {name}", field=too_many[0]
        )
    return Guest("session_id" if name == "session_id" else "participant_id", parse_id(value, name))


_BY_REF: Final = (
    f"p.ref = ANY({spellings(':ref::text')})"
    " AND (:kind::text IS NULL OR p.kind = :kind)"
    " AND (:except_of::uuid IS NULL OR p.user_id <> :except_of)"
)
_BY_ID: Final = "p.id = :participant_id"


@dataclass(frozen=True, slots=True)
class ParticipantFilter:
    """The condition that finds participants in their table, which is ``p``."""

    them: str
    values: Mapping[str, Any] = field(repr=False)

    def within(self, condition: str) -> str:
        """Return a condition of the registry, with this one in it."""
        return condition.replace("{them}", self.them)


def by_ref(
    ref: str, *, kind: str | None = None, except_of: UUID | None = None
) -> ParticipantFilter:
    """Find participants by ref; optionally of one kind, or excluding one owner."""
    return ParticipantFilter(_BY_REF, {"ref": ref, "kind": kind, "except_of": except_of})


def by_id(id: UUID) -> ParticipantFilter:
    """Find one participant by their own id."""
    return ParticipantFilter(_BY_ID, {"participant_id": id})
