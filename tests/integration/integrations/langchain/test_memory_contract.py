"""The memory store gives what LangGraph's own store in memory gives, whatever is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from json import dumps
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

import digitwin
from digitwin.database import Database
from digitwin.integrations.langchain import MemoryStore

LABELS = st.sampled_from(["a", "b", "a-b", "a!", "é", "日本", "*", "A"])
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)
PREFIXES = st.lists(LABELS, max_size=2).map(tuple)
KEYS = st.sampled_from(["k", "K", "k.1", " ", "é"])
SCALARS = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "x", "", "1"])
INNER = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2)
    ),
    max_leaves=4,
)
VALUES = st.fixed_dictionaries(
    {"n": st.integers(-3, 3) | st.sampled_from([0.5, "2", "-1.5"])},
    optional={"x": INNER, "y": INNER},
)
"""Every value has a number, since to compare another fails in memory."""
COMPARISONS = st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
    st.integers(-3, 3) | st.sampled_from([0.5, "1"]),
    min_size=1,
    max_size=2,
)
EQUALITIES = st.dictionaries(st.sampled_from(["$eq", "$ne"]), INNER, min_size=1)
FILTERS = st.fixed_dictionaries(
    {}, optional={"n": COMPARISONS | SCALARS, "x": INNER | EQUALITIES, "z": INNER | EQUALITIES}
)
CONDITIONS = st.lists(
    st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), PREFIXES), max_size=2
).map(tuple)
SEARCHES = st.builds(
    SearchOp,
    PREFIXES,
    filter=st.none() | FILTERS,
    limit=st.just(1000),
    offset=st.just(0),
    query=st.none() | st.sampled_from(["x", "what is x?"]),
)
OPS = (
    st.tuples(NAMESPACES, KEYS, VALUES).map(lambda given: PutOp(*given))
    | st.tuples(NAMESPACES, KEYS, VALUES | st.none()).map(lambda given: PutOp(*given))
    | st.builds(GetOp, NAMESPACES, KEYS)
    | SEARCHES
    | st.builds(
        ListNamespacesOp,
        CONDITIONS,
        max_depth=st.none() | st.integers(1, 3),
        limit=st.integers(1, 4),
        offset=st.integers(0, 2),
    )
)


class Reference(InMemoryStore):
    """Forgets a namespace with its last item; else one that was only asked for is listed."""

    def _handle_list_namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        for namespace in [name for name, items in self._data.items() if not items]:
            del self._data[namespace]
        return super()._handle_list_namespaces(op)


def told(op: Op, result: Any) -> Any:
    """What the two have in common: not the moments, and of a search not the order."""
    if isinstance(result, Item):
        return result.namespace, result.key, result.value
    if isinstance(op, SearchOp):
        return sorted(
            (item.namespace, item.key, dumps(item.value, sort_keys=True)) for item in result
        )
    return result


async def opened(url: str) -> Database:
    return await digitwin.connect(url, migrate="skip")


async def run(db: Database, batches: Sequence[Sequence[Op]]) -> None:
    """Ask both stores the same, for somebody new."""
    user = await db.users.create(email=f"{digitwin.uuid7()}@example.com", name="N")
    store, reference = MemoryStore(db, user_id=user.id, audience="owner"), Reference()
    for ops in batches:
        ours, theirs = await store.abatch(ops), await reference.abatch(ops)
        for op, mine, other in zip(ops, ours, theirs, strict=True):
            assert told(op, mine) == told(op, other), op


def test_it_answers_as_the_store_in_memory(digitwin_url: str) -> None:
    with asyncio.Runner() as runner:
        db = runner.run(opened(digitwin_url))

        @settings(
            max_examples=60,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.lists(OPS, min_size=1, max_size=8), min_size=1, max_size=5))
        def answers(batches: Sequence[Sequence[Op]]) -> None:
            runner.run(run(db, batches))

        try:
            answers()
        finally:
            runner.run(db.close())
