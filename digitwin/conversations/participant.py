"""The participant of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from digitwin.kernel.primitives.ids import one_spelling, refuse_nil
from digitwin.kernel.primitives.validation import STRICT, line, validate

Kind = Literal["owner", "user", "guest", "phone", "service"]


@with_config(STRICT)
class _Fields(TypedDict):
    kind: Kind
    ref: Annotated[str, line(200)] | None
    name: Annotated[str, line(200)] | None
    traits: Annotated[list[Annotated[str, line(500)]], Field(max_length=100)]


_FIELDS = TypeAdapter(_Fields)


@dataclass(frozen=True, slots=True)
class Participant:
    """Who talks to the twin in a session.

    Args:
        kind: ``owner`` (the twin's own person), ``user`` (another person with an account),
            ``guest``, ``phone`` or ``service``.
        ref: the caller's stable identifier: an account id, a phone number, a cookie. The same
            kind and ref is the same participant of an owner; without a ref each session gets a
            participant of its own. A UUID is kept in one spelling, lower case with hyphens.
        name: a display name; replaces the stored one of a known ref.
        traits: facts about the participant, one line each; replace the stored ones of a known
            ref.

    Raises:
        InvalidInputError: names the invalid field.
    """

    kind: Kind
    ref: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)
    traits: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        given: Any = self.traits
        traits = list(tuple.__iter__(given)) if issubclass(type(given), tuple) else given
        fields = {"kind": self.kind, "ref": self.ref, "name": self.name, "traits": traits}
        valid = validate(_FIELDS, fields)
        object.__setattr__(self, "traits", tuple(valid["traits"]))
        if valid["ref"] is not None:
            ref = one_spelling(str.__str__(valid["ref"]))
            object.__setattr__(self, "ref", refuse_nil(ref, "ref"))
