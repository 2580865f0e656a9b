"""What can be kept: vectors as float32, anything that is JSON, up to a bound that is named."""

from __future__ import annotations

import math
import sys
from typing import Any

import asyncpg
import numpy
import pytest

from digitwin.cache.repository import CacheRepository
from digitwin.errors import ConfigurationError, InvalidInputError
from tests.integration.cache.conftest import Factory


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "\N{GRINNING FACE} \u2028 \\u0000",
        0,
        -1.5,
        1e300,
        2**63 - 1,
        True,
        [],
        {},
        {"a": [1, {"b": None}], "": False},
    ],
)
async def test_any_json_value_comes_back(cache: CacheRepository, value: Any) -> None:
    for store in (cache.searches, cache.responses):
        await store.set("key", value)
        found = await store.get("key")
        assert (found, type(found)) == (value, type(value))


async def test_null_is_a_value_and_not_made_twice(cache: CacheRepository, quick: Factory) -> None:
    quick.value = None
    for _ in range(2):
        assert await cache.searches.get_or_create("key", quick) is None
    assert quick.calls == 1
    assert await cache.searches.get("key") is None
    assert await cache.searches.get_many(["key", "missing"]) == {"key": None}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "NaN or infinity"),
        ({"a": [math.inf]}, "NaN or infinity"),
        ("a\0b", "NUL"),
        ({"\ud800": 1}, "lone surrogate"),
        ({1: 2}, "string keys"),
        ({1, 2}, "type set"),
        (b"bytes", "type bytes"),
        (2**63, "64 bits"),
        ("x" * 1_048_575, "1,048,576 bytes"),
        (["x" * 1000] * 1100, "1,048,576 bytes"),
    ],
)
async def test_what_is_no_json_or_too_large_is_refused_with_the_reason(
    cache: CacheRepository, quick: Factory, value: Any, message: str
) -> None:
    quick.value = value
    for call in (
        cache.responses.set("key", value),
        cache.responses.get_or_create("key", quick),
    ):
        with pytest.raises(InvalidInputError, match=message) as refused:
            await call
        assert refused.value.details["field"] == "value"
    assert await cache.responses.get("key") is None


async def test_the_largest_values_fit(cache: CacheRepository) -> None:
    text, vector = "x" * (1_048_576 - 2), [0.25] * 65_536
    await cache.responses.set("key", text)
    await cache.embeddings.set("key", vector)
    assert await cache.responses.get("key") == text
    assert await cache.embeddings.get("key") == vector


async def test_a_vector_is_kept_as_float32_bytes(
    cache: CacheRepository, raw: asyncpg.Connection
) -> None:
    await cache.embeddings.set("key", [1.0, 0.1])
    row = await raw.fetchrow("SELECT value, size_bytes FROM embedding_cache")
    assert tuple(row) == (bytes.fromhex("0000803fcdcccc3d"), 8)


async def test_who_made_a_vector_gets_it_as_everybody_after(
    cache: CacheRepository, quick: Factory
) -> None:
    quick.value = (0.1, 2)
    made = await cache.embeddings.get_or_create("key", quick)
    assert made == await cache.embeddings.get("key")
    assert made[1] == 2.0


async def test_values_are_the_callers_own(cache: CacheRepository, quick: Factory) -> None:
    quick.value = original = {"hits": []}
    made = await cache.searches.get_or_create("key", quick)
    made["hits"].append("mine")
    assert original == {"hits": []}
    assert await cache.searches.get("key") == {"hits": []}


async def test_none_is_no_vector(cache: CacheRepository, quick: Factory) -> None:
    quick.value = None
    with pytest.raises(InvalidInputError) as refused:
        await cache.embeddings.get_or_create("key", quick)
    assert refused.value.details["field"] == "value"


class TestAsNumpy:
    """Vectors as arrays, where they are asked for."""

    async def test_what_was_set_comes_back_as_an_array(self, cache: CacheRepository) -> None:
        await cache.embeddings.set("key", numpy.array([1.0, 0.1]))
        found = await cache.embeddings.get("key", as_numpy=True)
        assert found is not None
        assert found.dtype == numpy.float32
        assert found.tolist() == await cache.embeddings.get("key")

    async def test_nothing_is_none(self, cache: CacheRepository) -> None:
        assert await cache.embeddings.get("key", as_numpy=True) is None

    async def test_many(self, cache: CacheRepository) -> None:
        await cache.embeddings.set("a", [1.0])
        found = await cache.embeddings.get_many(["a", "b"], as_numpy=True)
        assert {key: value.tolist() for key, value in found.items()} == {"a": [1.0]}

    async def test_made(self, cache: CacheRepository) -> None:
        async def factory() -> list[float]:
            return [0.5]

        for _ in range(2):
            made = await cache.embeddings.get_or_create("key", factory, as_numpy=True)
            assert made.dtype == numpy.float32
            assert made.tolist() == [0.5]

    async def test_one_caller_changes_nothing_for_the_next(self, cache: CacheRepository) -> None:
        await cache.embeddings.set("key", [1.0])
        for _ in range(4):  # from memory too
            found = await cache.embeddings.get("key", as_numpy=True)
            assert found is not None
            assert found[0] == 1.0
            found[0] = 2.0

    async def test_without_numpy_no_factory_runs(
        self, cache: CacheRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def factory() -> list[float]:
            raise AssertionError("it could not be given")

        monkeypatch.setitem(sys.modules, "numpy", None)
        with pytest.raises(ConfigurationError, match=r"digitwin\[numpy\]"):
            await cache.embeddings.get_or_create("key", factory, as_numpy=True)
