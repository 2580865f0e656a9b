"""A refused creation leaves the transaction usable, and says which row has the value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from digitwin import uuid7
from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, InvalidInputError, InvalidStateError
from digitwin.handle.scopes import UserScope
from digitwin.models import ConversationSession, User, VoiceModel
from tests.support.waiting import UntilWaiting


@dataclass
class World:
    """What exists: Ada with a voice, a document and a session of each kind, and Bob."""

    db: Database
    me: UserScope
    ada: User
    bob: User
    voice: VoiceModel
    session: ConversationSession
    other: ConversationSession
    document: Any


@pytest.fixture
async def world(digitwin_db: Database, ada: User, bob: User) -> World:
    db = digitwin_db
    voice = await db.voices.create(user_id=ada.id, name="Calm")
    document = await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")
    session = await db.sessions.start(ada.id, external_id="call-1")
    other = await db.sessions.start(ada.id)
    await db.sessions.add_turn(session.id, user_text="Hello", idempotency_key="k")
    return World(db, db.for_user(ada.id), ada, bob, voice, session, other, document)


Refused = tuple[str, Callable[[World], Awaitable[object]], Callable[[World], object]]

NAMED = {"name": "x", "title": "x", "content": "x"}
REFUSED: dict[str, Refused] = {
    "user by email": (
        "email",
        lambda w: w.db.users.create(email="ADA@example.com", name="x"),
        lambda w: w.ada.id,
    ),
    "user by id": (
        "id",
        lambda w: w.db.users.create(id=w.ada.id, email="new@example.com", name="x"),
        lambda w: w.ada.id,
    ),
    "users": (
        "email",
        lambda w: w.db.users.create_many(
            [{"email": f"{who}@example.com", "name": "x"} for who in ("new", "bob")]
        ),
        lambda w: w.bob.id,
    ),
    "user's change": (
        "email",
        lambda w: w.db.users.update(w.ada.id, email="bob@example.com"),
        lambda w: w.bob.id,
    ),
    "voice": (
        "id",
        lambda w: w.db.voices.create(id=w.voice.id, user_id=w.ada.id, name="x"),
        lambda w: w.voice.id,
    ),
    "voice of another": (
        "id",
        lambda w: w.db.voices.create(id=w.voice.id, user_id=w.bob.id, name="x"),
        lambda w: w.voice.id,
    ),
    "scoped voice": (
        "id",
        lambda w: w.me.voices.create(id=w.voice.id, name="x"),
        lambda w: w.voice.id,
    ),
    "voices": (
        "id",
        lambda w: w.db.voices.create_many(
            [{"id": id, "user_id": w.ada.id, "name": "x"} for id in (uuid7(), w.voice.id)]
        ),
        lambda w: w.voice.id,
    ),
    "document": (
        "id",
        lambda w: w.db.documents.create(id=w.document.id, user_id=w.ada.id, title="x", content="x"),
        lambda w: w.document.id,
    ),
    "session by external id": (
        "external_id",
        lambda w: w.db.sessions.start(w.ada.id, external_id="call-1"),
        lambda w: w.session.id,
    ),
    "scoped session": (
        "external_id",
        lambda w: w.me.sessions.start(external_id="call-1"),
        lambda w: w.session.id,
    ),
    "session by id": (
        "id",
        lambda w: w.db.sessions.start(w.ada.id, id=w.session.id),
        lambda w: w.session.id,
    ),
    "sessions": (
        "external_id",
        lambda w: w.db.sessions.create_many(
            [{"user_id": w.ada.id, "external_id": name} for name in ("call-2", "call-1")]
        ),
        lambda w: w.session.id,
    ),
    "session's change": (
        "external_id",
        lambda w: w.db.sessions.update(w.other.id, external_id="call-1"),
        lambda w: w.session.id,
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_the_transaction_stays_usable_and_the_error_has_the_id(
    world: World, refused: Refused
) -> None:
    field, create, holder = refused
    async with world.db.transaction():
        before = await world.db.users.create(email="before@example.com", name="Before")
        with pytest.raises(AlreadyExistsError) as raised:
            await create(world)
        assert (raised.value.details["field"], raised.value.details["id"]) == (
            field,
            str(holder(world)),
        )
        await world.db.users.update(before.id, name="After")
    assert (await world.db.users.get(before.id)).name == "After"
    assert not await world.db.users.exists(name="x")
    assert not await world.db.voices.exists(name="x")
    assert await world.db.sessions.count() == 2


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_outside_a_transaction_too(world: World, refused: Refused) -> None:
    field, create, holder = refused
    with pytest.raises(AlreadyExistsError) as raised:
        await create(world)
    assert raised.value.details == {"field": field, "id": str(holder(world))}


async def test_a_batch_of_turns(world: World) -> None:
    async with world.db.transaction():
        with pytest.raises(AlreadyExistsError, match="idempotency_key"):
            await world.db.sessions.add_turns(
                world.session.id, [{"user_text": "Hi", "idempotency_key": "k"}]
            )
        assert (await world.db.sessions.add_turn(world.session.id, user_text="Hi")).position == 2


async def test_under_a_scope_anothers_address_is_taken_by_nobody_named(
    digitwin_db: Database, ada: User, bob: User
) -> None:
    new = uuid7()
    for scope, method in ((digitwin_db.for_user(new), "create"), (None, "update")):
        me = scope or digitwin_db.for_user(ada.id)
        fields = {"email": "bob@example.com"}
        with pytest.raises(AlreadyExistsError) as raised:
            if method == "create":
                await me.users.create(**fields, name="x")  # type: ignore[arg-type, misc]
            else:
                await me.users.update(ada.id, **fields)  # type: ignore[arg-type]
        assert raised.value.details == {"field": "email"}


async def test_under_a_scope_a_taken_id_is_the_same_whoever_has_it(world: World) -> None:
    said = []
    for scope in (world.me, world.db.for_user(world.bob.id)):
        with pytest.raises(AlreadyExistsError) as raised:
            await scope.voices.create(id=world.voice.id, name="x")
        said.append((str(raised.value), raised.value.details))
    assert said[0] == said[1]


async def test_the_loser_of_a_race_in_a_transaction(
    digitwin_db: Database, until_waiting: UntilWaiting
) -> None:
    """The address is free when its statement begins, and taken when it ends."""
    db = digitwin_db

    begun = asyncio.Event()

    async def lose() -> object:
        await begun.wait()
        async with db.transaction():
            try:
                return await db.users.create(email="ada@example.com", name="Late")
            except AlreadyExistsError as error:
                kept = await db.users.create(email="late@example.com", name="Late")
                return error.details["id"], kept.id

    loser = asyncio.ensure_future(lose())
    async with db.transaction():
        first = await db.users.create(email="ada@example.com", name="First")
        begun.set()
        await until_waiting()
    holder, kept = await loser  # type: ignore[misc]
    assert holder == str(first.id)
    assert await db.users.find(kept)


@pytest.mark.parametrize("scoped", [False, True])
async def test_after_another_error_the_next_call_says_what_to_do(
    world: World, raw: asyncpg.Connection, scoped: bool
) -> None:
    await raw.execute("ALTER TABLE voice_models ADD CHECK (name <> 'Evil')")
    voices = world.me.voices if scoped else world.db.voices
    with pytest.raises(InvalidStateError, match=r"aborted.*db\.transaction") as raised:
        async with world.db.transaction():
            with pytest.raises(InvalidInputError):
                await voices.create(user_id=world.ada.id, name="Evil")
            await voices.list()
    assert raised.value.details["sqlstate"] == "25P02"


async def test_models_say_so_too(world: World, raw: asyncpg.Connection) -> None:
    await raw.execute("ALTER TABLE voice_models ADD CHECK (name <> 'Evil')")
    with pytest.raises(InvalidStateError, match="aborted"):
        async with world.db.transaction():
            with pytest.raises(InvalidInputError):
                await VoiceModel.all().update(name="Evil")
            await VoiceModel.all().count()
