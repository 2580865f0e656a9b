"""Settings, addresses and the arguments' own classes, with values that no one should send."""

from __future__ import annotations

import enum
from random import Random
from typing import Any

import pytest

from digitwin import Participant, Policy, Settings, connect
from digitwin.errors import ConfigurationError, DigiTwinError
from tests.integration.hostile_calls.values import HOSTILE, MARK

EACH = 6
"""Hostile values for each setting; reading the environment takes most of the time."""

VALID: dict[Any, dict[str, Any]] = {
    Settings: dict.fromkeys([*Settings.model_fields, "schema"]),
    Policy: {"endpoint": "/talk", "limit": 1, "window": 1, "tier": None},
    Participant: {"kind": "guest", "ref": "web", "name": "Sam", "traits": []},
}


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_a_value_is_taken_or_refused_by_our_error(kind: Any) -> None:
    dice, defaults = Random(1), {} if kind is Settings else VALID[kind]
    told = ""
    for name in VALID[kind]:
        for make in HOSTILE if kind is not Settings else dice.sample(HOSTILE, EACH):
            try:
                kind(**{**defaults, name: make()})
            except DigiTwinError as error:
                told += f"{error} {error!r} {error.details}"
    assert told
    assert MARK not in told


@pytest.mark.parametrize("make", HOSTILE)
async def test_an_address_is_text(make: Any) -> None:
    value = make()
    if value is None or (issubclass(type(value), str) and str.__len__(value) < 4):
        return
    with pytest.raises(DigiTwinError) as caught:
        await connect(value, connect_timeout=0.2)
    assert MARK not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("given", [5, "postgres://", object(), {}])
async def test_settings_are_settings(given: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect("postgresql://nobody@127.0.0.1:1/none", settings=given)
    assert caught.value.details["field"] == "settings"


def test_an_enumeration_of_endpoints() -> None:
    endpoints = enum.StrEnum("Endpoints", {"TALK": "/talk"})
    assert type(Policy(endpoints("/talk"), 5, 60).endpoint) is str
