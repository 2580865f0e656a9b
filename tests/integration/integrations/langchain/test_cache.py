"""LangChain's own tests of a cache, and what they do not ask: whose it is, and what if it fails."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg
import pytest
from langchain_core.caches import BaseCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite

import digitwin
from digitwin import session_tag
from digitwin.database import Database
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.integrations.langchain import ResponseCache
from digitwin.integrations.langchain.bridge import Bridge
from digitwin.models import User
from digitwin.testing import DatabaseFactory
from tests.integration.integrations.langchain.conftest import Opened

PROMPT, MODEL = "When do you open?", "some model"
ANSWER = [Generation(text="From nine.")]


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, digitwin_db: Database, ada: User) -> BaseCache:  # type: ignore[override]
        return ResponseCache(digitwin_db, user_id=ada.id, audience="owner")


@pytest.fixture
def elsewhere(opened: Opened) -> ResponseCache:
    """A cache whose handle is open in another thread."""
    return opened.made(lambda: ResponseCache(opened.db, user_id=opened.ada.id, audience="owner"))


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, elsewhere: ResponseCache) -> BaseCache:  # type: ignore[override]
        return elsewhere


async def test_another_event_loop_may_ask(elsewhere: ResponseCache) -> None:
    await elsewhere.aupdate(PROMPT, MODEL, ANSWER)
    assert await elsewhere.alookup(PROMPT, MODEL) == ANSWER


@pytest.fixture
async def cache(digitwin_db: Database, ada: User) -> ResponseCache:
    return ResponseCache(digitwin_db, user_id=ada.id, audience="owner")


async def test_a_model_is_asked_once(cache: ResponseCache) -> None:
    model = FakeListChatModel(responses=["From nine.", "From ten."], cache=cache)
    first, second = await model.ainvoke(PROMPT), await model.ainvoke(PROMPT)
    assert first.content == second.content == "From nine."
    assert (await model.ainvoke("And on Sunday?")).content == "From ten."


async def test_messages_come_back_whole(cache: ResponseCache) -> None:
    message = AIMessage(
        [{"type": "text", "text": "Let me look."}],
        tool_calls=[{"name": "hours", "args": {"day": "monday"}, "id": "call-1"}],
        usage_metadata={"input_tokens": 8, "output_tokens": 2, "total_tokens": 10},
    )
    await cache.aupdate(PROMPT, MODEL, [ChatGeneration(message=message)])
    assert await cache.alookup(PROMPT, MODEL) == [ChatGeneration(message=message)]


async def test_an_answer_is_one_persons_and_one_audiences(
    digitwin_db: Database, cache: ResponseCache, ada: User, bob: User
) -> None:
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    for user_id, audience in ((ada.id, "visitor"), (bob.id, "owner"), (None, "owner")):
        other = ResponseCache(digitwin_db, user_id=user_id, audience=audience)  # type: ignore[arg-type]
        assert await other.alookup(PROMPT, MODEL) is None
        await other.aupdate(PROMPT, MODEL, [Generation(text="Theirs")])
        await other.aclear()
        assert await other.alookup(PROMPT, MODEL) is None
    assert await cache.alookup(PROMPT, MODEL) == ANSWER


@pytest.mark.parametrize(("prompt", "model"), [("", "ab"), ("a", "b"), ("b", "a"), ("ab", "")])
async def test_prompt_and_model_are_both_part_of_the_key(
    cache: ResponseCache, prompt: str, model: str
) -> None:
    await cache.aupdate(prompt, model, ANSWER)
    others = {("", "ab"), ("a", "b"), ("b", "a"), ("ab", "")} - {(prompt, model)}
    assert [await cache.alookup(*other) for other in others] == [None] * 3


async def test_prompts_are_stored_as_digests(cache: ResponseCache, raw: asyncpg.Connection) -> None:
    await cache.aupdate("my grandmother's orchard \ud83d", MODEL, ANSWER)
    assert await cache.alookup("my grandmother's orchard \ud83d", MODEL) == ANSWER
    stored = await raw.fetchval("SELECT r::text FROM llm_response_cache AS r")
    assert "orchard" not in stored


async def test_it_goes_with_its_session_and_its_person(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    tags = [session_tag(session.id)]
    cache = ResponseCache(digitwin_db, user_id=ada.id, audience="owner", tags=tags, ttl=60)
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    await digitwin_db.sessions.delete(session.id)
    assert await cache.alookup(PROMPT, MODEL) is None
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    assert await raw.fetchval("SELECT count(*) FROM llm_response_cache") == 0


async def test_a_cache_that_fails_does_not_fail_the_call(
    digitwin_db: Database,
    cache: ResponseCache,
    raw: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await raw.execute("ALTER TABLE llm_response_cache RENAME TO gone")
    model = FakeListChatModel(responses=["From nine.", "From ten."], cache=cache)
    with caplog.at_level(logging.ERROR, "digitwin"):
        assert (await model.ainvoke(PROMPT)).content == "From nine."
        assert (await model.ainvoke(PROMPT)).content == "From ten."
    assert cache.failures == 4
    assert (await digitwin_db.health()).recorders.failed_callbacks == 4
    [record] = caplog.records
    assert record.message.startswith("callback langchain.ResponseCache failed")


async def test_what_cannot_be_stored_is_not(cache: ResponseCache) -> None:
    await cache.aupdate(PROMPT, MODEL, [Generation(text="x" * 20_000_000)])
    assert await cache.alookup(PROMPT, MODEL) is None
    assert cache.failures == 1


async def test_what_cannot_be_read_any_more_is_a_miss(
    digitwin_db_factory: DatabaseFactory, digitwin_url: str, raw: asyncpg.Connection
) -> None:
    db = await digitwin_db_factory(digitwin_url, cache_memory_entries=0)
    cache = ResponseCache(db, user_id=None, audience="owner")
    for stored in (GONE, "7", "[7]", "{}", OTHER):
        await cache.aupdate(PROMPT, MODEL, ANSWER)
        await raw.execute("UPDATE llm_response_cache SET value = $1::jsonb", stored)
        assert await cache.alookup(PROMPT, MODEL) is None
    assert cache.failures == 5


async def test_an_answer_of_an_own_class_that_cannot_be_stored_is_not(
    cache: ResponseCache,
) -> None:
    class Own(Generation):
        def to_json(self) -> Any:
            raise RuntimeError

    await cache.aupdate(PROMPT, MODEL, [Own(text="From nine.")])
    assert await cache.alookup(PROMPT, MODEL) is None
    assert cache.failures == 1


async def test_it_takes_the_tags_that_an_entry_has_room_for(
    digitwin_db: Database, raw: asyncpg.Connection
) -> None:
    tags = [str(n) for n in range(31)]
    cache = ResponseCache(digitwin_db, user_id=None, audience="owner", tags=tags)
    await cache.aupdate(PROMPT, MODEL, ANSWER)
    stored = await raw.fetchval("SELECT tags FROM llm_response_cache")
    assert set(tags) < set(stored)
    assert len(stored) == 32


def test_a_loop_that_has_ended_does_not_fail_the_call(digitwin_url: str) -> None:
    async def made() -> ResponseCache:
        async with digitwin.connect(digitwin_url) as db:
            return ResponseCache(db, user_id=None, audience="owner")

    cache = asyncio.run(made())
    model = FakeListChatModel(responses=["From nine.", "From ten."], cache=cache)
    assert model.invoke(PROMPT).content == "From nine."
    assert asyncio.run(model.ainvoke(PROMPT)).content == "From ten."
    assert cache.failures == 4


async def test_a_cache_made_on_another_loop_says_so(opened: Opened) -> None:
    """It would find nothing, ever."""
    cache = ResponseCache(opened.db, user_id=None, audience="owner")
    with pytest.raises(InvalidStateError, match="another event loop"):
        await cache.alookup(PROMPT, MODEL)


OTHER = (
    '[{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "output", "Generation"],'
    ' "kwargs": []}]'
)
GONE = '[{"lc": 1, "type": "constructor", "id": ["langchain", "gone", "Gone"], "kwargs": {}}]'


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"user_id": "ada", "audience": "owner"}, "user_id"),
        ({"user_id": None, "audience": "everybody"}, "audience"),
        ({"user_id": None, "audience": "owner", "ttl": -1}, "ttl"),
        ({"user_id": None, "audience": "owner", "tags": ["x" * 201]}, "tags"),
        ({"user_id": None, "audience": "owner", "tags": "abc"}, "tags"),
        ({"user_id": None, "audience": "owner", "tags": None}, "tags"),
        ({"user_id": None, "audience": "owner", "tags": map(str, range(32))}, "tags"),
    ],
)
async def test_bad_input_is_named(digitwin_db: Database, given: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ResponseCache(digitwin_db, **given)
    assert refused.value.details["field"] == field


async def test_none_is_made_without_saying_whose_data_it_is(digitwin_db: Database) -> None:
    with pytest.raises(TypeError, match=r"user_id.*audience"):
        ResponseCache(digitwin_db)  # type: ignore[call-arg]


async def test_a_call_that_would_wait_for_itself_is_refused(cache: ResponseCache) -> None:
    with pytest.raises(InvalidStateError, match="async method"):
        cache.lookup(PROMPT, MODEL)


def test_it_is_made_on_the_handles_loop() -> None:
    with pytest.raises(InvalidStateError, match="on its loop"):
        Bridge()
