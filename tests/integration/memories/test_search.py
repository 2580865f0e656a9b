"""What is searched: a place, conditions on values, words that put the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from digitwin.errors import InvalidInputError
from digitwin.memories.repository import MemoryRepository


async def keys(memories: MemoryRepository, *prefix: str, **given: Any) -> list[str]:
    return [hit.memory.key for hit in await memories.search(prefix, **given)]


async def test_a_place_is_searched_with_those_below_it_the_last_put_first(
    hers: MemoryRepository,
) -> None:
    for namespace in ("a", "a.b", "a.b.c", "a-b", "a!", "ab", "b.a"):
        await hers.put(namespace.split("."), namespace, {})
    assert await keys(hers, "a") == ["a.b.c", "a.b", "a"]
    assert await keys(hers, "a", "b") == ["a.b.c", "a.b"]
    assert await keys(hers) == ["b.a", "ab", "a!", "a-b", "a.b.c", "a.b", "a"]
    assert await keys(hers, limit=2, offset=1) == ["ab", "a!"]
    await hers.put(("a",), "a", {})
    assert await keys(hers, "a", limit=1) == ["a"]


VALUES: Mapping[str, dict[str, Any]] = {
    "one": {"n": 1, "s": "10", "o": {"a": 1, "b": [1, {"c": 2}]}, "flag": True},
    "two": {"n": 2.5, "s": "ten", "o": {"a": None}, "l": [1, 2]},
    "none": {"n": None, "l": [], "0": {"1": "x"}},
    "text": {"n": " 7e0 ", "o": [{"a": 1}], 'q"\\': 1, "l": ["x", "y"]},
}


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"n": 1}, {"one"}),
    ({"n": 1.0}, {"one"}),
    ({"n": True}, set()),
    ({"flag": True}, {"one"}),
    ({"n": None}, {"none"}),
    ({"flag": None}, {"two", "none", "text"}),
    ({"n": {"$ne": 1}}, {"two", "none", "text"}),
    ({"n": {"$eq": 2.5}}, {"two"}),
    ({"n": {"$gt": 1}}, {"two", "text"}),
    ({"n": {"$gte": 1, "$lt": 7}}, {"one", "two"}),
    ({"n": {"$lte": "2.5"}}, {"one", "two"}),
    ({"s": {"$gt": 9}}, {"one"}),
    ({"flag": {"$gte": 0}}, set()),
    ({"o": {"a": 1}}, {"one"}),
    ({"o": {"a": {"$ne": 1}}}, {"two"}),
    ({"o": {}}, {"one", "two"}),
    ({"o": {"b": [1, {"c": {"$lt": 3}}]}}, {"one"}),
    ({"o": {"b": [1]}}, set()),
    ({"o": {"$eq": {"a": None}}}, {"two"}),
    ({"o": [{"a": 1}]}, {"text"}),
    ({"o": {"0": {"a": 1}}}, set()),
    ({"l": []}, {"none"}),
    ({"l": {"$ne": []}}, {"one", "two", "text"}),
    ({"l": ["x", "y"]}, {"text"}),
    ({"0": {"1": "x"}}, {"none"}),
    ({'q"\\': 1}, {"text"}),
    ({"n": 1, "s": "10"}, {"one"}),
    ({}, {"one", "two", "none", "text"}),
]


async def test_a_filter_compares_values(hers: MemoryRepository) -> None:
    for key, value in VALUES.items():
        await hers.put(("n",), key, value)
    for filter, found in FILTERS:
        assert (filter, set(await keys(hers, filter=filter))) == (filter, found)
        assert (filter, set(await keys(hers, filter=filter, query="x"))) == (filter, found)


BAD_FILTERS: list[Any] = [
    ["n"],
    {"n": {"$in": [1]}},
    {"n": {"$gt": 1, "a": 2}},
    {"n": {"$gt": "much"}},
    {"n": {"$gt": True}},
    {"n": {"$lt": [1]}},
    {"n": {"$gt": "١"}},
    {1: 2},
    {"n": [1] * 101},
]


async def test_a_bad_filter_is_refused(hers: MemoryRepository) -> None:
    for filter in BAD_FILTERS:
        with pytest.raises(InvalidInputError, match=r"^filter"):
            await hers.search(filter=filter)


async def test_words_put_the_best_first_and_leave_nothing_out(hers: MemoryRepository) -> None:
    await hers.put(("n",), "pizza", {"likes": "vegetarian pizzas", "a": ["with basil"]})
    await hers.put(("n",), "salad", {"likes": "a vegetarian salad"})
    await hers.put(("n",), "walk", {"likes": "long walks"})
    hits = await hers.search(query="Which vegetarian PIZZA?")
    assert [hit.memory.key for hit in hits] == ["pizza", "salad", "walk"]
    best, good, other = (hit.score for hit in hits)
    assert best is not None
    assert good is not None
    assert best > good > 0
    assert other is None
    assert (await keys(hers, query="basil"))[0] == "pizza"
    assert (await keys(hers, query="likes"))[0] == "walk"  # the name of a field is no text of it
    assert await keys(hers, query="the ?!") == ["walk", "salad", "pizza"]
    assert await keys(hers, query="pizza", limit=1, offset=1) == ["walk"]


async def test_words_are_those_of_each_language(hers: MemoryRepository) -> None:
    await hers.put(("n",), "de", {"mag": "die Bücher von Ärzten"}, language="de-CH")
    await hers.put(("n",), "ja", {"text": "東京都に住む"}, language="ja")
    await hers.put(("n",), "en", {"text": "her books"})
    for query, found in (("Buch", "de"), ("bucher", "de"), ("東京", "ja"), ("BOOK", "en")):
        assert [h.memory.key for h in await hers.search(query=query) if h.score] == [found]


async def test_a_text_of_its_own_is_searched_instead(hers: MemoryRepository) -> None:
    await hers.put(("n",), "named", {"text": "apples"}, text="pears")
    await hers.put(("n",), "silent", {"text": "apples"}, text="")
    assert [hit.score for hit in await hers.search(query="apples")] == [None, None]
    assert (await keys(hers, query="pear"))[0] == "named"
    await hers.put(("n",), "named", {"text": "plums"})
    assert [hit.score for hit in await hers.search(query="pear")] == [None, None]


async def test_a_value_of_the_largest_size_can_be_found(hers: MemoryRepository) -> None:
    many = " ".join(f"w{n}" for n in range(120_000))
    await hers.put(("n",), "large", {"text": many[:1_000_000]})
    assert [hit.score is not None for hit in await hers.search(query="w7")] == [True]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"offset": -1}, "offset"),
    ({"query": "x" * 4001}, "query"),
    ({"query": "\ud800"}, "query"),
    ({"prefix": ("a.b",)}, "prefix"),
    ({"prefix": iter(("a",))}, "prefix"),
    ({"refresh": 1}, "refresh"),
]


async def test_bad_input_names_its_field(hers: MemoryRepository) -> None:
    for given, field in BAD:
        with pytest.raises(InvalidInputError, match=rf"^{field}"):
            await hers.search(**given)


async def test_namespaces_are_listed_by_beginning_end_and_depth(hers: MemoryRepository) -> None:
    for namespace in ("a", "a.b", "a-b", "a.b.c", "b.b", "a*.x", "c.d.c"):
        await hers.put(namespace.split("."), "k", {})
    every = [
        ("a",),
        ("a", "b"),
        ("a", "b", "c"),
        ("a*", "x"),
        ("a-b",),
        ("b", "b"),
        ("c", "d", "c"),
    ]
    assert await hers.namespaces() == every
    assert await hers.namespaces(prefix=("a",)) == every[:3]
    assert await hers.namespaces(prefix=("*", "b")) == [*every[1:3], ("b", "b")]
    assert await hers.namespaces(prefix=("a*",)) == [("a*", "x")]
    assert await hers.namespaces(suffix=("b",)) == [("a", "b"), ("b", "b")]
    assert await hers.namespaces(suffix=("*", "c")) == [("a", "b", "c"), ("c", "d", "c")]
    assert await hers.namespaces(prefix=("c", "*"), suffix=("c",)) == [("c", "d", "c")]
    assert await hers.namespaces(max_depth=1) == [("a",), ("a*",), ("a-b",), ("b",), ("c",)]
    assert await hers.namespaces(limit=2, offset=1) == every[1:3]
    assert await hers.namespaces(prefix=("nowhere",)) == []
