"""Whom an export or an erasure is about, and the hash by which the erased are known.

A person's hash is the plain SHA-256 of their id: an id holds more than 70 random bits, so that
nobody finds it by trying, and the database can compute it, too. A participant's ref may be a
telephone number, which is found by trying in seconds: their hash is keyed with the setting
``erasure_pepper``, where there is one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args
from uuid import UUID

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.conversations.participant import Kind
from digitwin.kernel.primitives.validation import STRICT, line, validate

SubjectKind: TypeAlias = Literal["user", "participant"]
KINDS = get_args(SubjectKind)


def hash_of_user(user_id: UUID) -> str:
    """By which an erased person is known."""
    return hashlib.sha256(str(user_id).encode()).hexdigest()


def hash_of_participant(who: Them, pepper: str | None) -> str:
    """By which an erased participant is known."""
    text = json.dumps(["participant", who.kind, who.ref])
    return hmac.new((pepper or "").encode(), text.encode(), "sha256").hexdigest()


@with_config(STRICT)
class _Named(TypedDict):
    kind: Kind
    ref: Annotated[str, line(200)]


_NAMED = TypeAdapter(_Named)


@dataclass(frozen=True, slots=True)
class Them:
    """A participant, over all the owners they talked to.

    Raises:
        InvalidInputError: names the field that does not fit.
    """

    kind: Kind
    ref: str

    def __post_init__(self) -> None:
        validate(_NAMED, {"kind": self.kind, "ref": self.ref})
