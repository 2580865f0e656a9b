"""A migration that changes a column's type costs a running instance nothing that it can avoid."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidStateError, SchemaChangedError
from digitwin.handle.scopes import UserScope
from digitwin.models import KnowledgeDocument, User, VoiceModel

Whole = Callable[[Database], Awaitable[None]]

TYPES = {
    "users": ("name", "text"),
    "voice_models": ("provider", "text"),
    "knowledge_documents": ("content_type", "text"),
    "conversation_sessions": ("end_reason", "text"),
}


async def change_types(raw: asyncpg.Connection) -> None:
    for table, (column, kind) in TYPES.items():
        await raw.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}")


async def change_back(raw: asyncpg.Connection) -> None:
    for table, (column, _) in TYPES.items():
        await raw.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(100)")


async def voices(db: Database, me: UserScope, ada: User) -> object:
    return await me.voices.list()


async def stream(db: Database, me: UserScope, ada: User) -> object:
    return [voice async for voice in me.voices.stream()]


async def unscoped_stream(db: Database, me: UserScope, ada: User) -> object:
    return [voice async for voice in db.voices.stream()]


async def start(db: Database, me: UserScope, ada: User) -> object:
    return await me.sessions.end((await me.sessions.start()).id)


async def document(db: Database, me: UserScope, ada: User) -> object:
    """Each of these is a transaction of several statements."""
    made = await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")
    await me.documents.update(made.id, title="Opening hours")
    await me.documents.delete(made.id)
    return await db.documents.restore(made.id)


async def several(db: Database, me: UserScope, ada: User) -> object:
    return await me.voices.create_many([{"name": "Calm"}, {"name": "Loud", "provider": "p"}])


async def relation(db: Database, me: UserScope, ada: User) -> object:
    return await (await me.users.get(ada.id)).voice_models


async def save(db: Database, me: UserScope, ada: User) -> object:
    voice = (await me.voices.list(limit=1)).items[0]
    voice.provider = "another"
    return await voice.save()


@pytest.mark.parametrize(
    "call", [voices, stream, unscoped_stream, start, document, several, relation, save]
)
async def test_a_call_of_its_own_is_run_again(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    ada: User,
    whole: Whole,
    call: Callable[[Database, UserScope, User], Awaitable[object]],
) -> None:
    me = digitwin_db.for_user(ada.id)
    await me.voices.create(name="Calm", provider="p")
    for _ in range(2):
        await call(digitwin_db, me, ada)
    await change_types(raw)
    await call(digitwin_db, me, ada)
    await change_back(raw)
    await call(digitwin_db, me, ada)
    await whole(digitwin_db)


async def test_what_is_run_again_is_stored_once(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    me = digitwin_db.for_user(ada.id)
    for _ in range(2):
        await several(digitwin_db, me, ada)
    await change_types(raw)
    await several(digitwin_db, me, ada)
    assert await me.voices.count() == 6
    assert await raw.fetchval("SELECT count(*) FROM audit_logs WHERE action LIKE 'voice%'") == 6


async def test_an_iterator_is_not_given_again(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    """A second run would see it empty, and succeed without storing anything."""
    db = digitwin_db

    async def create() -> int:
        rows = ({"user_id": ada.id, "title": str(n), "content": "text"} for n in range(3))
        return len(await db.documents.create_many(rows))  # type: ignore[arg-type]

    assert await create() == 3
    await change_types(raw)
    with pytest.raises(SchemaChangedError):
        await create()
    assert await create() == 3


@pytest.mark.parametrize("scoped", [False, True])
async def test_in_a_callers_transaction_it_can_be_retried(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, whole: Whole, scoped: bool
) -> None:
    db = digitwin_db
    voices = db.for_user(ada.id).voices if scoped else db.voices

    async def work() -> None:
        async with db.transaction():
            await voices.create(user_id=ada.id, name="Calm")

    await work()
    await change_types(raw)
    with pytest.raises(SchemaChangedError, match="run the whole transaction again") as raised:
        await work()
    assert raised.value.retryable
    assert raised.value.details["sqlstate"] == "0A000"
    await work()
    assert await voices.count() == 2
    await whole(db)


async def test_a_caller_that_catches_it_is_told_that_the_transaction_is_over(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    db = digitwin_db
    await db.voices.create(user_id=ada.id, name="Calm")
    await change_types(raw)
    with pytest.raises(InvalidStateError, match="transaction is aborted"):
        async with db.transaction():
            with pytest.raises(SchemaChangedError):
                await db.voices.create(user_id=ada.id, name="Calm")
            await db.users.get(ada.id)


async def test_models_in_a_callers_transaction(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User
) -> None:
    db = digitwin_db

    async def work() -> int:
        async with db.transaction():
            return len(await VoiceModel.all()) + len(await KnowledgeDocument.all())

    await work()
    await change_types(raw)
    with pytest.raises(SchemaChangedError):
        await work()
    await work()


async def test_beside_traffic_no_call_fails(
    digitwin_db: Database, raw: asyncpg.Connection, ada: User, whole: Whole
) -> None:
    db, me, over = digitwin_db, digitwin_db.for_user(ada.id), asyncio.Event()
    calls, done = (voices, start, document), asyncio.Queue[int]()

    async def traffic(n: int) -> None:
        while not over.is_set():
            await calls[n % 3](db, me, ada)
            done.put_nowait(n)

    async def everyone_called() -> None:
        """Between two changes, so that no call meets both: it is run again only once."""
        for _ in range(2):
            missing = set(range(6))
            while missing:
                missing.discard(await done.get())

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for n in range(6):
            group.create_task(traffic(n))
        for kind in ("text", "varchar(100)"):
            for table, (column, _) in TYPES.items():
                await everyone_called()
                await raw.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}")
        await everyone_called()
        over.set()
    await whole(db)
