"""A LangChain model whose answers are kept for one person's visitors, and forgotten with a session.

It needs no keys and no network: the models are fakes that say how often they were asked.
`CacheBackedEmbeddings` is in the package `langchain-classic`.
"""

import asyncio

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListChatModel

import digitwin
from digitwin.integrations.langchain import ByteStore, EmbeddingCache, ResponseCache

QUESTION = "When do you open?"
ANSWERS = [f"From nine. (The model was asked {n} times.)" for n in range(1, 9)]


class Embedder(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        print("embedded:", texts)
        return [[float(len(text))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


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

        # Each text is embedded once, and a key contains the model
        vectors = EmbeddingCache(db, user_id=owner.id, audience="owner", model="lengths")
        embeddings = CacheBackedEmbeddings(Embedder(), vectors, query_embedding_store=vectors)
        await embeddings.aembed_documents([QUESTION, "From nine."])
        print("vector:", await embeddings.aembed_query(QUESTION))

        # Bytes by key, for whatever else of LangChain takes a store
        store = ByteStore(db, user_id=owner.id, audience="owner", namespace="files")
        await store.amset([("hours/monday", b"9 to 5"), ("menu", b"soup")])
        print("keys:", [key async for key in store.ayield_keys(prefix="hours/")])


asyncio.run(main())
