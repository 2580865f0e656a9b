"""A participant is validated when created, and immutable."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, get_args

import pytest

from digitwin import Participant
from digitwin.conversations.participant import Kind
from digitwin.errors import InvalidInputError


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_kind_is_enough(kind: Kind) -> None:
    participant = Participant(kind=kind)
    assert (participant.ref, participant.name, participant.traits) == (None, None, ())


@pytest.mark.parametrize("traits", [["likes tea"], ("likes tea",)])
def test_traits_are_kept_apart_from_the_list_that_was_given(traits: Any) -> None:
    participant = Participant(kind="guest", traits=traits)
    if isinstance(traits, list):
        traits.append("deaf")
    assert participant.traits == ("likes tea",)


def test_a_participant_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        Participant(kind="guest").name = "Sam"  # type: ignore[misc]


def test_equal_participants_are_one_in_a_set() -> None:
    made = {Participant("guest", "web-1", "Sam", ["likes tea"]) for _ in range(2)}
    assert made == {Participant(kind="guest", ref="web-1", name="Sam", traits=("likes tea",))}


def test_as_much_as_is_allowed_fits() -> None:
    Participant(kind="phone", ref="r" * 200, name="n" * 200, traits=["t" * 500] * 100)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "alien"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["guest"]}, "kind"),
        ({"ref": ""}, "ref"),
        ({"ref": "r" * 201}, "ref"),
        ({"ref": "a\0"}, "ref"),
        ({"ref": 7}, "ref"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"traits": "likes tea"}, "traits"),
        ({"traits": None}, "traits"),
        ({"traits": 5}, "traits"),
        ({"traits": [5]}, "traits"),
        ({"traits": [""]}, "traits"),
        ({"traits": ["t" * 501]}, "traits"),
        ({"traits": ["t"] * 101}, "traits"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        Participant(**{"kind": "guest", **fields})
    assert error.value.details["field"] == field
