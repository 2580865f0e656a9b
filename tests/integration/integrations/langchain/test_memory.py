"""LangGraph's long-term memory over digitwin's: whose it is, how long, and within real graphs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, TypedDict

import asyncpg
import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore, InvalidNamespaceError, PutOp, SearchOp

import digitwin
from digitwin.database import Database
from digitwin.errors import (
    ClosedError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.integrations.langchain import MemoryStore
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User

FOOD = ("preferences", "food")


class State(TypedDict):
    said: str
    answer: str


@pytest.fixture
async def store(digitwin_db: Database, ada: User) -> MemoryStore:
    return MemoryStore(digitwin_db, user_id=ada.id, audience="owner")


async def test_the_methods_of_a_store(store: MemoryStore) -> None:
    await store.aput(FOOD, "dinner", {"likes": "pizza"})
    await store.aput(FOOD, "drink", {"likes": "tea"})
    item = await store.aget(FOOD, "dinner")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (FOOD, "dinner", {"likes": "pizza"})
    assert item.created_at.tzinfo is not None
    found = await store.asearch(("preferences",), query="Pizzas?", limit=2)
    assert [(hit.key, hit.score is None) for hit in found] == [("dinner", False), ("drink", True)]
    assert await store.alist_namespaces(prefix=("preferences",)) == [FOOD]
    await store.adelete(FOOD, "dinner")
    assert await store.aget(FOOD, "dinner") is None


async def test_what_is_not_to_be_indexed_is_found_by_no_word(store: MemoryStore) -> None:
    await store.aput(FOOD, "secret", {"text": "pizza"}, index=False)
    await store.aput(
        FOOD, "part", {"text": "pizza", "more": [{"of": "basil"}]}, index=["more[*].of"]
    )
    assert [hit.score for hit in await store.asearch(FOOD, query="pizza")] == [None, None]
    assert (await store.asearch(FOOD, query="basil"))[0].key == "part"


async def test_memory_is_one_persons_and_one_audiences(
    digitwin_db: Database, store: MemoryStore, ada: User, bob: User
) -> None:
    await store.aput(FOOD, "dinner", {"likes": "pizza"})
    for user, audience in ((ada, "visitor"), (bob, "owner")):
        other = MemoryStore(digitwin_db, user_id=user.id, audience=audience)  # type: ignore[arg-type]
        assert await other.aget(FOOD, "dinner") is None
        assert await other.asearch(()) == []
        await other.adelete(FOOD, "dinner")
    assert await store.aget(FOOD, "dinner") is not None


async def test_none_is_made_without_saying_whose_it_is(digitwin_db: Database, ada: User) -> None:
    with pytest.raises(TypeError):
        MemoryStore(digitwin_db)  # type: ignore[call-arg]
    with pytest.raises(InvalidInputError, match="user_id"):
        MemoryStore(digitwin_db, user_id=None, audience="owner")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="audience"):
        MemoryStore(digitwin_db, user_id=ada.id, audience="all")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        await MemoryStore(digitwin_db, user_id=uuid7(), audience="owner").aput(FOOD, "k", {})


async def test_a_scope_serves_as_a_handle(digitwin_db: Database, ada: User, bob: User) -> None:
    scope = digitwin_db.for_user(ada.id)
    await MemoryStore(scope, user_id=ada.id, audience="owner").aput(FOOD, "k", {"v": 1})
    with pytest.raises(NotFoundError):
        await MemoryStore(scope, user_id=bob.id, audience="owner").aget(FOOD, "k")


async def test_names_are_those_that_langgraph_allows(store: MemoryStore) -> None:
    for bad in ((), ("a.b",), ("",), ("langgraph",)):
        with pytest.raises(InvalidNamespaceError):
            await store.aput(bad, "k", {})
    with pytest.raises(InvalidNamespaceError):
        await store.abatch([PutOp(("a.b",), "k", {})])
    with pytest.raises(InvalidInputError):
        await store.aput(FOOD, "k", {"v": {1, 2}})
    assert await store.aget((), "k") is None


BAD: list[tuple[Any, str]] = [
    *((PutOp(FOOD, "k", value), "value") for value in ([("a", 1)], [], "", 5, b"x")),
    *((PutOp(FOOD, "k", {"a": 1}, index=index), "index") for index in (5, "a", [5], ["a"] * 101)),
    (PutOp(FOOD, "k", {"a": {1, 2}}, index=["$"]), "index"),
    *((PutOp(FOOD, "k", {}, ttl=ttl), "ttl") for ttl in (0, 10**400, "1", timedelta(1), {})),
    (SearchOp(FOOD, query=5), "query"),  # type: ignore[arg-type]
]


async def test_a_bad_operation_is_refused_by_name(store: MemoryStore) -> None:
    for op, field in BAD:
        with pytest.raises(InvalidInputError, match=rf"^{field}"):
            await store.abatch([op])
    assert await store.asearch(()) == []


async def test_bad_times_to_live_are_refused_when_it_is_made(
    digitwin_db: Database, ada: User
) -> None:
    bad: tuple[Any, ...] = (60, {"default_ttl": "60"}, {"default_ttl": -1}, {"refresh_on_read": 1})
    for ttl in bad:
        with pytest.raises(InvalidInputError, match=r"ttl|refresh_on_read"):
            MemoryStore(digitwin_db, user_id=ada.id, audience="owner", ttl=ttl)


async def test_times_to_live_are_minutes_and_count_anew(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    store = MemoryStore(digitwin_db, user_id=ada.id, audience="owner", ttl={"default_ttl": 60})
    await store.aput(FOOD, "hour", {})
    await store.aput(FOOD, "day", {}, ttl=1440)
    await store.aput(FOOD, "always", {}, ttl=None)
    lives = "SELECT jsonb_object_agg(key, extract(epoch FROM expires_at - now()) / 60)::text"
    stored = await raw.fetch("SELECT key, ttl_seconds FROM memories ORDER BY key")
    assert [tuple(row) for row in stored] == [("always", None), ("day", 86_400), ("hour", 3_600)]
    await raw.execute("UPDATE memories SET expires_at = expires_at - interval '30 minutes'")
    before = await raw.fetchval(f"{lives} FROM memories")
    await store.aget(FOOD, "hour", refresh_ttl=False)
    await store.asearch(FOOD, refresh_ttl=False)
    left = await raw.fetchval(
        "SELECT expires_at - now() < interval '40 minutes' FROM memories WHERE key = 'hour'"
    )
    assert left, before
    await store.aget(FOOD, "hour")
    await store.asearch(FOOD)
    assert await raw.fetchval(
        "SELECT bool_and(expires_at > updated_at + make_interval(secs => ttl_seconds * 0.99))"
        " FROM memories"
    )
    await raw.execute("UPDATE memories SET expires_at = now() WHERE ttl_seconds IS NOT NULL")
    assert [item.key for item in await store.asearch(FOOD)] == ["always"]


def remembering(state: State, *, store: BaseStore) -> dict[str, Any]:
    """A synchronous node."""
    store.put(FOOD, "said", {"text": state["said"]})
    return {}


async def recalling(state: State, *, store: BaseStore) -> dict[str, Any]:
    """An asynchronous one."""
    [first, *_] = await store.asearch(("preferences",), query="pizza")
    return {"answer": first.value["text"]}


async def test_a_graph_remembers_in_another_thread_of_talk(store: MemoryStore) -> None:
    talk = StateGraph(State).add_node(remembering).add_edge(START, "remembering")
    await talk.add_edge("remembering", END).compile(store=store).ainvoke({"said": "I like pizza"})
    recall = StateGraph(State).add_node(recalling).add_edge(START, "recalling")
    graph = recall.add_edge("recalling", END).compile(store=store)
    assert (await graph.ainvoke({"said": "?"}))["answer"] == "I like pizza"


async def test_a_synchronous_graph_runs_in_another_thread(store: MemoryStore) -> None:
    talk = StateGraph(State).add_node(remembering).add_edge(START, "remembering")
    graph = talk.add_edge("remembering", END).compile(store=store)
    await asyncio.to_thread(graph.invoke, {"said": "I like tea"})
    item = await store.aget(FOOD, "said")
    assert item is not None
    assert item.value == {"text": "I like tea"}


async def test_on_the_loops_own_thread_it_would_wait_for_itself(store: MemoryStore) -> None:
    with pytest.raises(InvalidStateError, match="use the async method"):
        store.get(FOOD, "said")


def test_after_its_loop_has_ended_it_refuses(digitwin_url: str) -> None:
    async def made() -> MemoryStore:
        async with digitwin.connect(digitwin_url) as db:
            return MemoryStore(db, user_id=uuid7(), audience="owner")

    store = asyncio.run(made())
    with pytest.raises(ClosedError, match="loop of the handle has ended"):
        store.get(FOOD, "k")
    with pytest.raises(ClosedError, match="loop of the handle has ended"):
        asyncio.run(store.aget(FOOD, "k"))


async def test_the_nodes_of_a_graph_join_no_open_transaction(
    digitwin_db: Database, store: MemoryStore
) -> None:
    """They are tasks of their own: that they cannot is said, and nothing is written."""
    talk = StateGraph(State).add_node(remembering).add_edge(START, "remembering")
    graph = talk.add_edge("remembering", END).compile(store=store)
    async with digitwin_db.transaction():
        with pytest.raises(InvalidStateError, match="belongs to the task that opened it"):
            await graph.ainvoke({"said": "I like tea"})
    assert await store.asearch(()) == []


async def test_a_failure_is_an_error(digitwin_db: Database, store: MemoryStore) -> None:
    """A memory that is lost in silence is worse than a call that fails."""
    await digitwin_db.close()
    with pytest.raises(DigiTwinError):
        await store.aput(FOOD, "k", {})
