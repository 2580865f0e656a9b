"""LangChain's own tests of a byte store, and what they do not ask: whose it is, and its limits."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import asyncpg
import pytest
from langchain_core.stores import BaseStore
from langchain_tests.integration_tests.base_store import BaseStoreAsyncTests, BaseStoreSyncTests

from digitwin import session_tag
from digitwin.cache import fields
from digitwin.database import Database
from digitwin.errors import DigiTwinError, InvalidInputError, InvalidStateError
from digitwin.integrations.langchain import ByteStore
from digitwin.integrations.langchain.byte_store import MAX_VALUE
from digitwin.models import User
from tests.faults.proxy import Proxy
from tests.integration.integrations.langchain.conftest import Opened

THREE = (b"foo", b"", bytes(range(256)))


class TestAsync(BaseStoreAsyncTests[bytes]):
    @pytest.fixture
    async def kv_store(self, digitwin_db: Database, ada: User) -> BaseStore[str, bytes]:  # type: ignore[override]
        return ByteStore(digitwin_db, user_id=ada.id, audience="owner", namespace="files")

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:  # type: ignore[override]
        return THREE


@pytest.fixture
def elsewhere(opened: Opened) -> ByteStore:
    """A store whose handle is open in another thread."""
    whose: dict[str, Any] = {"user_id": opened.ada.id, "audience": "owner"}
    return opened.made(lambda: ByteStore(opened.db, namespace="files", **whose))


class TestSync(BaseStoreSyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, elsewhere: ByteStore) -> BaseStore[str, bytes]:  # type: ignore[override]
        return elsewhere

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:  # type: ignore[override]
        return THREE


async def test_another_event_loop_may_ask(elsewhere: ByteStore) -> None:
    await elsewhere.amset([("a", b"1")])
    assert await elsewhere.amget(["a"]) == [b"1"]
    assert [key async for key in elsewhere.ayield_keys()] == ["a"]


@pytest.fixture
async def store(digitwin_db: Database, ada: User) -> ByteStore:
    return ByteStore(digitwin_db, user_id=ada.id, audience="owner", namespace="files")


async def keys(store: ByteStore, prefix: str | None = None) -> list[str]:
    return [key async for key in store.ayield_keys(prefix=prefix)]


async def test_a_value_is_one_persons_one_audiences_and_one_namespaces(
    digitwin_db: Database, store: ByteStore, ada: User, bob: User
) -> None:
    await store.amset([("a", b"Ada's")])
    for user_id, audience, namespace in (
        (ada.id, "visitor", "files"),
        (bob.id, "owner", "files"),
        (None, "owner", "files"),
        (ada.id, "owner", "other files"),
    ):
        other = ByteStore(digitwin_db, user_id=user_id, audience=audience, namespace=namespace)  # type: ignore[arg-type]
        assert await other.amget(["a"]) == [None]
        assert await keys(other) == []
        await other.amset([("a", b"theirs")])
        await other.amdelete(["a"])
    assert await store.amget(["a"]) == [b"Ada's"]


async def test_no_namespace_is_the_beginning_of_another(digitwin_db: Database) -> None:
    names = ["a", "a:", "a:a", "a%3A", "a%3Aa", "a%253A", "%", "%25", ":", "_"]
    held = ["", "%", ":", ":a", "a", "a:a"]
    stores = {
        name: ByteStore(digitwin_db, user_id=None, audience="owner", namespace=name)
        for name in names
    }
    for name, store in stores.items():
        await store.amset([(key, f"{name} {key}".encode()) for key in held])
    for name, store in stores.items():
        assert await store.amget(held) == [f"{name} {key}".encode() for key in held]
        assert sorted(await keys(store)) == held
        assert sorted(await keys(store, "a")) == ["a", "a:a"]


async def test_more_keys_than_one_statement_takes(store: ByteStore) -> None:
    pairs = [(f"{n:04}", str(n).encode()) for n in range(2500)]
    await store.amset(pairs)
    assert await keys(store) == [key for key, _ in pairs]
    assert await store.amget([key for key, _ in pairs]) == [value for _, value in pairs]
    await store.amdelete([key for key, _ in pairs[1:]])
    assert await keys(store) == ["0000"]


async def test_more_bytes_than_one_statement_takes(store: ByteStore) -> None:
    value = secrets.token_bytes(MAX_VALUE)
    most = fields.MAX_TOGETHER // MAX_VALUE + 1
    await store.amset([(str(n), value) for n in range(most)])
    assert await store.amget([str(n) for n in range(most)]) == [value] * most


async def test_of_two_values_for_a_key_the_last_is_kept(store: ByteStore) -> None:
    await store.amset([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert await store.amget(["a", "b"]) == [b"3", b"2"]


async def test_the_longest_key_and_value_fit(store: ByteStore) -> None:
    most = 512 - len("langchain:files:")
    await store.amset([("\N{GRINNING FACE}" * most, b"x" * 786_429), ("", bytearray(b"y"))])
    assert await keys(store) == ["", "\N{GRINNING FACE}" * most]
    assert await store.amget([""]) == [b"y"]
    for pair, field, limit in (
        (("x" * (most + 1), b""), "key", most),
        (("a", b"x" * 786_430), "value", 786_429),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await store.amset([("first", b""), pair])
        assert refused.value.details == {"field": field, "limit": limit}
    assert await store.amget(["first"]) == [None]


async def test_every_kind_of_bytes_is_stored_whole(store: ByteStore) -> None:
    view = memoryview(b"abcdef")
    await store.amset([("every other", view[::2]), ("numbers", memoryview(b"abcd").cast("I"))])
    assert await store.amget(["every other", "numbers"]) == [b"ace", b"abcd"]
    view.release()
    with pytest.raises(InvalidInputError) as refused:
        await store.amset([("gone", view)])
    assert refused.value.details["field"] == "value"


async def test_values_live_as_long_as_they_may(
    digitwin_db: Database, ada: User, raw: asyncpg.Connection
) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    store = ByteStore(
        digitwin_db,
        user_id=ada.id,
        audience="owner",
        namespace="files",
        ttl=60,
        tags=[session_tag(session.id)],
    )
    await store.amset([("a", b"1")])
    query = "SELECT extract(epoch FROM expires_at - created_at)::int FROM llm_response_cache"
    assert 54 <= await raw.fetchval(query) <= 60
    await digitwin_db.sessions.delete(session.id)
    assert await store.amget(["a"]) == [None]
    await store.amset([("a", b"1")])
    await raw.execute("UPDATE llm_response_cache SET expires_at = now()")
    assert await store.amget(["a"]) == [None]
    assert await keys(store) == []
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    await store.amset([("a", b"1")])
    assert await raw.fetchval("SELECT count(*) FROM llm_response_cache") == 0


async def test_what_something_else_stored_there_is_no_value(
    digitwin_db: Database, store: ByteStore, ada: User
) -> None:
    for stored in ("no base64!", "\N{GRINNING FACE}", 7, ["eA=="], None, {}):
        await digitwin_db.cache.responses.set("langchain:files:a", stored, user_id=ada.id)
        assert await store.amget(["a"]) == [None]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"user_id": "ada"}, "user_id"),
        ({"audience": "everybody"}, "audience"),
        ({"namespace": ""}, "namespace"),
        ({"namespace": "x" * 129}, "namespace"),
        ({"namespace": None}, "namespace"),
        ({"ttl": -1}, "ttl"),
        ({"tags": ["x" * 201]}, "tags"),
    ],
)
async def test_bad_construction_is_named(
    digitwin_db: Database, given: dict[str, Any], field: str
) -> None:
    valid: dict[str, Any] = {"user_id": None, "audience": "owner", "namespace": "files"}
    with pytest.raises(InvalidInputError) as refused:
        ByteStore(digitwin_db, **{**valid, **given})
    assert refused.value.details["field"] == field


async def test_none_is_made_without_saying_whose_data_it_is(digitwin_db: Database) -> None:
    with pytest.raises(TypeError, match=r"user_id.*audience.*namespace"):
        ByteStore(digitwin_db)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("call", "given", "field"),
    [
        ("amget", "abc", "keys"),
        ("amget", [7], "key"),
        ("amget", ["a\0"], "keys"),
        ("amdelete", ["\ud800"], "keys"),
        ("amdelete", None, "keys"),
        ("amset", {"a": b"1"}, "key_value_pairs"),
        ("amset", [("a", b"1", 2)], "key_value_pairs"),
        ("amset", ["ab"], "key_value_pairs"),
        ("amset", [("a", "text")], "value"),
        ("amset", [("a", 5)], "value"),
        ("amset", [(b"a", b"1")], "key"),
        ("amset", [("a\0", b"1")], "values"),
    ],
)
async def test_bad_input_is_named(store: ByteStore, call: str, given: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await getattr(store, call)(given)
    assert refused.value.details["field"] == field


async def test_a_prefix_is_a_text(store: ByteStore) -> None:
    for prefix in (7, "x" * 512):
        with pytest.raises(InvalidInputError) as refused:
            await keys(store, prefix)  # type: ignore[arg-type]
        assert refused.value.details["field"] == "prefix"


async def test_a_call_that_would_wait_for_itself_is_refused(store: ByteStore) -> None:
    with pytest.raises(InvalidStateError, match="async method"):
        store.mget(["a"])
    with pytest.raises(InvalidStateError, match="async method"):
        next(iter(store.yield_keys()))


async def test_a_store_that_cannot_be_asked_says_so(
    hasty: Database, proxy: Proxy, ada: User
) -> None:
    store = ByteStore(hasty, user_id=ada.id, audience="owner", namespace="files")
    await store.amset([("a", b"1")])
    proxy.freeze()
    proxy.cut()
    with pytest.raises(DigiTwinError):
        await store.amget(["a", "b"])
    with pytest.raises(DigiTwinError):
        await store.amset([("a", b"2")])


async def test_two_handles_at_once(
    digitwin_db: Database, opened: Opened, elsewhere: ByteStore
) -> None:
    """One on another loop, in another thread, on the same entries."""
    store = ByteStore(digitwin_db, user_id=opened.ada.id, audience="owner", namespace="files")
    pairs = [(str(n), b"x" * n) for n in range(100)]

    async def again() -> None:
        for _ in range(5):
            await store.amset(pairs)
            await store.amdelete(key for key, _ in pairs)  # type: ignore[arg-type]

    def beside() -> None:
        for _ in range(5):
            elsewhere.mset(pairs[::-1])
            assert all(key.isdigit() for key in elsewhere.yield_keys())

    await asyncio.gather(again(), asyncio.to_thread(beside))
    await store.amset(pairs)
    assert elsewhere.mget([key for key, _ in pairs]) == [value for _, value in pairs]
