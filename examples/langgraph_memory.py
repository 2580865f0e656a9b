"""A LangGraph agent that remembers its owner from one talk to the next, and tells no visitor.

It needs no keys and no network: it notes what it is told, and answers with what it remembers.
To install: pip install "digitwin[langchain]" "langgraph>=1.2,<1.3"
"""

import asyncio
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

import digitwin
from digitwin.integrations.langchain import MemoryStore

PREFERENCES = ("preferences", "food")


class State(TypedDict):
    said: str
    answer: str


async def note(state: State, *, store: BaseStore) -> dict[str, str]:
    """What a model would do with a tool: keep what matters."""
    if state["said"].startswith("I like"):
        await store.aput(PREFERENCES, state["said"][7:], {"text": state["said"]})
    return {}


async def answer(state: State, *, store: BaseStore) -> dict[str, str]:
    found = await store.asearch(("preferences",), query=state["said"], limit=1)
    return {"answer": f"You said: {found[0].value['text']}" if found else "I do not know."}


async def main() -> None:
    async with digitwin.connect(migrate="auto") as db:
        owner = await db.users.create(email="owner@example.com", name="Owner")
        graph = StateGraph(State).add_node(note).add_node(answer)
        graph = graph.add_edge(START, "note").add_edge("note", "answer").add_edge("answer", END)

        # A day: an item ends so long after its last use
        store = MemoryStore(db, user_id=owner.id, audience="owner", ttl={"default_ttl": 24 * 60})
        agent = graph.compile(store=store)
        for said in ("I like pizza with basil", "I like green tea", "Which pizzas do I like?"):
            print("owner:", said, "->", (await agent.ainvoke({"said": said}))["answer"])

        # Visitors have a memory of their own
        visitors = graph.compile(store=MemoryStore(db, user_id=owner.id, audience="visitor"))
        print("visitor:", (await visitors.ainvoke({"said": "Which pizzas?"}))["answer"])

        # What is forgotten is gone
        await store.adelete(PREFERENCES, "pizza with basil")
        said = "And now, which pizzas?"
        print("after:", (await agent.ainvoke({"said": said}))["answer"])


asyncio.run(main())
