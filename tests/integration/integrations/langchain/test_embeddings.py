"""LangChain's CacheBackedEmbeddings over digitwin: each text is embedded once per model."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.embeddings import Embeddings

import digitwin
from digitwin.database import Database
from digitwin.errors import ClosedError, InvalidInputError, InvalidStateError
from digitwin.integrations.langchain import ByteStore, EmbeddingCache
from digitwin.models import User
from tests.faults.proxy import Proxy
from tests.integration.integrations.langchain.conftest import Opened

Cached = Callable[["Model", Database, User], CacheBackedEmbeddings]


class Model(Embeddings):
    """Embeds a text as its length and its own number, and knows what it was asked."""

    def __init__(self, name: str, number: float = 0.0) -> None:
        self.name = name
        self.number = number
        self.asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        return [[float(len(text)), self.number] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def over_vectors(model: Model, db: Database, user: User) -> CacheBackedEmbeddings:
    cache = EmbeddingCache(db, user_id=user.id, audience="owner", model=model.name)
    return CacheBackedEmbeddings(model, cache, query_embedding_store=cache)


def over_bytes(model: Model, db: Database, user: User) -> CacheBackedEmbeddings:
    store = ByteStore(db, user_id=user.id, audience="owner", namespace=model.name)
    return CacheBackedEmbeddings.from_bytes_store(
        model, store, query_embedding_cache=True, key_encoder="sha256"
    )


def over_bytes_of_all(model: Model, db: Database, user: User) -> CacheBackedEmbeddings:
    """The model in LangChain's own namespace."""
    store = ByteStore(db, user_id=user.id, audience="owner", namespace="embeddings")
    return CacheBackedEmbeddings.from_bytes_store(
        model, store, namespace=model.name, query_embedding_cache=True, key_encoder="sha256"
    )


WAYS: list[Cached] = [over_vectors, over_bytes, over_bytes_of_all]


@pytest.mark.parametrize("cached", WAYS)
async def test_a_text_is_embedded_once(digitwin_db: Database, ada: User, cached: Cached) -> None:
    model = Model("small", 0.5)
    embeddings = cached(model, digitwin_db, ada)
    first = await embeddings.aembed_documents(["one", "three", "one"])
    assert first == [[3.0, 0.5], [5.0, 0.5], [3.0, 0.5]]
    assert await embeddings.aembed_documents(["one", "three", "seven"]) == [*first[:2], [5.0, 0.5]]
    assert await embeddings.aembed_query("seven") == [5.0, 0.5]
    assert model.asked == ["one", "three", "one", "seven"]


@pytest.mark.parametrize("cached", WAYS)
async def test_two_models_never_mix(digitwin_db: Database, ada: User, cached: Cached) -> None:
    small, large = Model("small:1", 1.0), Model("small", 2.0)
    for model in (small, large, small, large):
        vectors = await cached(model, digitwin_db, ada).aembed_documents(["one", "1:one"])
        assert vectors == [[3.0, model.number], [5.0, model.number]]
    assert (small.asked, large.asked) == (["one", "1:one"], ["one", "1:one"])


@pytest.mark.parametrize("cached", WAYS)
async def test_two_people_never_share(
    digitwin_db: Database, ada: User, bob: User, cached: Cached
) -> None:
    model = Model("small")
    for user in (ada, bob):
        await cached(model, digitwin_db, user).aembed_documents(["one"])
    assert model.asked == ["one", "one"]


@pytest.mark.parametrize("cached", WAYS)
def test_it_works_without_a_loop(opened: Opened, cached: Cached) -> None:
    model = Model("small", 0.5)
    embeddings = opened.made(lambda: cached(model, opened.db, opened.ada))
    for _ in range(2):
        assert embeddings.embed_documents(["one", "three"]) == [[3.0, 0.5], [5.0, 0.5]]
        assert embeddings.embed_query("one") == [3.0, 0.5]
    assert model.asked == ["one", "three"]


@pytest.fixture
async def cache(digitwin_db: Database, ada: User) -> EmbeddingCache:
    return EmbeddingCache(digitwin_db, user_id=ada.id, audience="owner", model="small")


async def test_an_owners_vector_is_no_visitors(
    digitwin_db: Database, cache: EmbeddingCache, ada: User
) -> None:
    await cache.amset([("one", [1.0])])
    for user_id, audience in ((ada.id, "visitor"), (None, "owner")):
        other = EmbeddingCache(digitwin_db, user_id=user_id, audience=audience, model="small")  # type: ignore[arg-type]
        assert await other.amget(["one"]) == [None]


async def test_the_key_names_the_model_and_not_the_text(
    cache: EmbeddingCache, raw: asyncpg.Connection
) -> None:
    text = "my grandmother's orchard \ud83d" * 100
    await cache.amset([(text, [0.1, 0.2])])
    assert await cache.amget([text, "another"]) == [[pytest.approx(0.1), pytest.approx(0.2)], None]
    key = await raw.fetchval("SELECT key FROM embedding_cache")
    assert key.startswith("langchain:small:")
    assert "orchard" not in key
    assert [f"langchain:small:{digest}" async for digest in cache.ayield_keys()] == [key]


async def test_a_vector_is_stored_as_float32(
    cache: EmbeddingCache, raw: asyncpg.Connection
) -> None:
    await cache.amset([("one", [0.1] * 1536)])
    assert await raw.fetchval("SELECT length(value) FROM embedding_cache") == 4 * 1536


async def test_large_vectors_are_stored_in_several_statements(cache: EmbeddingCache) -> None:
    vector = [0.5] * 65_536
    texts = [str(n) for n in range(70)]
    await cache.amset([(text, vector) for text in texts])
    assert cache.failures == 0
    assert await cache.amget(texts) == [vector] * 70


async def test_vectors_live_as_long_as_they_may(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    cache = EmbeddingCache(
        digitwin_db, user_id=ada.id, audience="owner", model="small", ttl=60, tags=["prices"]
    )
    await cache.amset([("one", [1.0]), ("two", [2.0])])
    query = "SELECT max(extract(epoch FROM expires_at - created_at))::int FROM embedding_cache"
    assert 54 <= await raw.fetchval(query) <= 60
    await cache.amdelete(["one", "missing"])
    assert await cache.amget(["one", "two"]) == [None, [2.0]]
    await digitwin_db.cache.embeddings.invalidate(tag="prices")
    assert await cache.amget(["two"]) == [None]


async def test_a_cache_that_fails_does_not_fail_the_call(
    hasty: Database, proxy: Proxy, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model("small")
    embeddings = over_vectors(model, hasty, ada)
    cache: Any = embeddings.document_embedding_store
    proxy.freeze()
    proxy.cut()
    with caplog.at_level(logging.ERROR, "digitwin"):
        for _ in range(2):
            assert await embeddings.aembed_documents(["one"]) == [[3.0, 0.0]]
    assert cache.failures == 4
    assert 1 <= len(caplog.records) == len({record.message for record in caplog.records})
    proxy.thaw()
    async with asyncio.timeout(10):
        while await cache.amget(["one"]) == [None]:
            await embeddings.aembed_documents(["one"])


def test_a_loop_that_has_ended_does_not_fail_the_call(digitwin_url: str) -> None:
    async def made() -> EmbeddingCache:
        async with digitwin.connect(digitwin_url) as db:
            return EmbeddingCache(db, user_id=None, audience="owner", model="small")

    cache = asyncio.run(made())
    embeddings = CacheBackedEmbeddings(Model("small"), cache)
    assert embeddings.embed_documents(["one"]) == [[3.0, 0.0]]
    assert asyncio.run(embeddings.aembed_documents(["one"])) == [[3.0, 0.0]]
    assert cache.failures == 4
    with pytest.raises(ClosedError):
        cache.mdelete(["one"])


@pytest.mark.parametrize("vector", [[], [math.nan], [1e300], ["a"], [1.0] * 65_537])
async def test_what_cannot_be_stored_is_not(cache: EmbeddingCache, vector: list[float]) -> None:
    await cache.amset([("one", vector)])
    assert await cache.amget(["one"]) == [None]
    assert cache.failures == 1


async def test_a_vector_that_cannot_be_stored_keeps_no_other_out(cache: EmbeddingCache) -> None:
    """Else every text beside it is embedded anew each time."""
    vectors = [("one", [1.0]), ("bad", [math.nan]), ("two", [2.0])]
    await cache.amset(vectors)
    assert await cache.amget([text for text, _ in vectors]) == [[1.0], None, [2.0]]
    assert cache.failures == 1


@pytest.mark.parametrize(
    ("call", "given", "field"),
    [
        ("amget", "abc", "keys"),
        ("amget", [b"one"], "text"),
        ("amdelete", None, "keys"),
        ("amset", [("one", 5)], "value"),
        ("amset", {"one": [1.0]}, "key_value_pairs"),
    ],
)
async def test_bad_input_is_named(cache: EmbeddingCache, call: str, given: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await getattr(cache, call)(given)
    assert refused.value.details["field"] == field
    assert cache.failures == 0


@pytest.mark.parametrize("model", ["", "x" * 129, "two\nlines", None])
async def test_a_model_is_named(digitwin_db: Database, model: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        EmbeddingCache(digitwin_db, user_id=None, audience="owner", model=model)
    assert refused.value.details["field"] == "model"


async def test_none_is_made_without_saying_whose_data_it_is(digitwin_db: Database) -> None:
    with pytest.raises(TypeError, match=r"user_id.*audience.*model"):
        EmbeddingCache(digitwin_db)  # type: ignore[call-arg]


async def test_a_call_that_would_wait_for_itself_is_refused(cache: EmbeddingCache) -> None:
    with pytest.raises(InvalidStateError, match="async method"):
        cache.mget(["one"])
