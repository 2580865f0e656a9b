"""Who talks to the twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

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
        ref: the caller's lasting name for them: an account's id, a number, a cookie. One
            owner's participants of the same kind and ref are one; without a ref each
            session gets a participant of its own.
        name: what to call them. Given again for a known ref, it replaces the one kept.
        traits: what is known of them, a line each. Given again, they replace those kept.

    Raises:
        InvalidInputError: names the field that does not fit.
    """

    kind: Kind
    ref: str | None = None
    name: str | None = None
    traits: Sequence[str] = ()

    def __post_init__(self) -> None:
        traits = list(self.traits) if isinstance(self.traits, tuple) else self.traits
        fields = {"kind": self.kind, "ref": self.ref, "name": self.name, "traits": traits}
        object.__setattr__(self, "traits", tuple(validate(_FIELDS, fields)["traits"]))
