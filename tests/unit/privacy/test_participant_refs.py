"""A participant's ref is read as text, whatever object brings it."""

from __future__ import annotations

from uuid import UUID

from digitwin.privacy.subjects import ParticipantRef

ID = UUID(int=0xADA)


class Text(str):
    """A string whose own methods fail."""

    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


def test_a_subclass_of_str_is_read_without_its_methods() -> None:
    assert ParticipantRef(kind="guest", ref=Text(ID.hex.upper())).ref == str(ID)
