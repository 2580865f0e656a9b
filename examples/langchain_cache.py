"""A LangChain model whose answers are kept for one person's visitors, and forgotten with a session.

It needs no keys and no network: the model is a fake that says how often it was asked.
"""

import asyncio

from langchain_core.language_models import FakeListChatModel

import digitwin
from digitwin.integrations.langchain import ResponseCache

QUESTION = "When do you open?"
ANSWERS = [f"From nine. (The model was asked {n} times.)" for n in range(1, 9)]


async def main() -> None:
    async with digitwin.connect(migrate="auto") as db:
        owner = await db.users.create(email="owner@example.com", name="Owner")
        session = await db.sessions.start(owner.id)
        visitors = ResponseCache(
            db,
            user_id=owner.id,
            audience="visitor",
            ttl=3600,
            tags=[digitwin.session_tag(session.id)],
        )
        model = FakeListChatModel(responses=ANSWERS, cache=visitors)
        print("asked:", (await model.ainvoke(QUESTION)).content)
        print("again:", (await model.ainvoke(QUESTION)).content)

        # The owner may be told more than visitors: an audience of its own
        model.cache = ResponseCache(db, user_id=owner.id, audience="owner")
        print("owner:", (await model.ainvoke(QUESTION)).content)

        # What was answered from a conversation goes with it
        await db.sessions.delete(session.id)
        model.cache = visitors
        print("after:", (await model.ainvoke(QUESTION)).content)


asyncio.run(main())
