"""No error, nor anything in its chain, no log and no repr repeats what is personal."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

import digitwin
from digitwin import Ask, Participant, SearchHit
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.models import ConversationSession, KnowledgeDocument, User, VoiceModel

MARK = "zanzibar"
EMAIL = f"{MARK}@example.com"
PHONE = f"+49 170 {MARK}"
LONG = f"{MARK} " * 100

LOGGERS = ("digitwin", "asyncpg", "tortoise", "asyncio")


@pytest.fixture
async def owner(digitwin_db: Database, raw: asyncpg.Connection) -> User:
    """Whose every value is marked; tables have a rule and a trigger that refuse some values."""
    db = digitwin_db
    owner = await db.users.create(email=EMAIL, name=MARK, settings={"phone": PHONE})
    await db.voices.create(user_id=owner.id, name=MARK)
    await db.documents.create(user_id=owner.id, title=MARK, content=f"{PHONE} is {MARK}")
    guest = Participant(kind="phone", ref=PHONE, name=MARK, traits=[MARK])
    await db.sessions.start(owner.id, participant=guest, external_id=MARK)
    await raw.execute(
        "ALTER TABLE voice_models ADD CHECK (name NOT LIKE 'checked%');"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION '% is refused', NEW.title USING DETAIL = NEW.content; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON knowledge_documents FOR EACH ROW"
        " WHEN (NEW.title LIKE 'raised%') EXECUTE FUNCTION refuse()"
    )
    return owner


async def restore(db: Database, owner: User) -> None:
    await db.users.delete(owner.id)
    await db.users.create(email=EMAIL.upper(), name=MARK)
    await db.users.restore(owner.id)


async def update(db: Database, owner: User) -> None:
    other = await db.users.create(email=f"other-{EMAIL}", name=MARK)
    await db.for_user(other.id).users.update(other.id, email=EMAIL)


async def session(db: Database) -> ConversationSession:
    return (await db.sessions.list(limit=1)).items[0]


async def twice(db: Database, owner: User) -> None:
    for _ in range(2):
        await db.sessions.add_turns(
            (await session(db)).id, [{"user_text": MARK, "idempotency_key": MARK}]
        )


async def aborted(db: Database, owner: User) -> None:
    async with db.transaction():
        with pytest.raises(DigiTwinError):
            await db.voices.create(user_id=owner.id, name=f"checked {MARK}")
        await db.users.create(email=f"new-{EMAIL}", name=MARK)


async def undefined(db: Database, owner: User) -> None:
    await db._core.db.execute("ALTER TABLE users RENAME COLUMN name TO called")
    await db.users.update(owner.id, settings={"phone": PHONE})


async def changed(db: Database, owner: User) -> None:
    async def work() -> None:
        async with db.transaction():
            await db.users.get_by_email(EMAIL)

    await work()
    await db._core.db.execute("ALTER TABLE users ALTER COLUMN name TYPE text")
    await work()


async def timed_out(db: Database, owner: User) -> None:
    async with db.transaction():
        await db._core.db.execute("SET LOCAL statement_timeout = 1")
        await db._core.db.fetchval("SELECT pg_sleep(5), $1::text", PHONE)


async def deadlocked(db: Database, owner: User) -> None:
    other = await db.users.create(email=f"other-{EMAIL}", name=MARK)
    both = asyncio.Barrier(2)

    async def work(*ids: Any) -> None:
        async with db.transaction():
            await db.users.update(ids[0], name=f"{MARK} 1")
            await both.wait()
            await db.users.update(ids[1], name=f"{MARK} 2")

    failed = await asyncio.gather(
        work(owner.id, other.id), work(other.id, owner.id), return_exceptions=True
    )
    raise next(error for error in failed if error is not None)


async def limited(db: Database, owner: User) -> None:
    for _ in range(2):
        await db.limits.require(PHONE, "/chat", limit=1, window=60)


async def connect(db: Database, owner: User) -> None:
    await digitwin.connect(f"postgresql://{MARK}:{MARK}@[{MARK}/x")


async def save(db: Database, owner: User) -> None:
    voice = await VoiceModel.all().get()
    voice.name = LONG
    await voice.save()


Call = Callable[[Database, User], Awaitable[object]]
FAILING: dict[str, Call] = {
    "taken address": lambda db, o: db.users.create(email=EMAIL, name=MARK),
    "taken addresses": lambda db, o: db.users.create_many([{"email": EMAIL, "name": MARK}]),
    "taken on update": update,
    "taken on restore": restore,
    "taken id": lambda db, o: db.users.create(id=o.id, email=f"new-{EMAIL}", name=MARK),
    "taken external id": lambda db, o: db.sessions.start(o.id, external_id=MARK),
    "taken in a scope": lambda db, o: db.for_user(o.id).sessions.start(external_id=MARK),
    "taken idempotency key": twice,
    "check": lambda db, o: db.voices.create(user_id=o.id, name=f"checked {MARK}"),
    "check in a scope": lambda db, o: db.for_user(o.id).voices.create(name=f"checked {MARK}"),
    "trigger": lambda db, o: db.documents.create(
        user_id=o.id, title=f"raised {MARK}", content=PHONE
    ),
    "too many words": lambda db, o: db.documents.create(
        user_id=o.id, title=MARK, content=" ".join(f"{MARK}{n}" for n in range(200_000))
    ),
    "aborted": aborted,
    "undefined": undefined,
    "changed": changed,
    "timeout": timed_out,
    "deadlock": deadlocked,
    "limit": limited,
    "address of the server": connect,
    "no such user": lambda db, o: db.users.get_by_email(f"no-{EMAIL}"),
    "invalid e-mail": lambda db, o: db.users.create(email=f"{MARK} at example", name=MARK),
    "invalid lookup": lambda db, o: db.users.get_by_email(f"{MARK} at example"),
    "invalid domain": lambda db, o: db.users.create(email=f"x@{MARK}_-.-", name=MARK),
    "long name": lambda db, o: db.users.create(email=f"n{EMAIL}", name=LONG),
    "invalid id": lambda db, o: db.users.get(PHONE),
    "invalid filter": lambda db, o: db.users.list(subscription_tier=PHONE),  # type: ignore[arg-type]
    "invalid cursor": lambda db, o: db.users.list(after=PHONE),
    "invalid json": lambda db, o: db.users.update(o.id, settings={"phone": {PHONE}}),
    "invalid turn": lambda db, o: db.sessions.add_turns(
        o.id, [{"heard_text": MARK, "user_text": PHONE}]
    ),
    "invalid value": lambda db, o: db.cache.responses.set(MARK, {PHONE}),
    "invalid vector": lambda db, o: db.cache.embeddings.set(MARK, [PHONE]),  # type: ignore[list-item]
    "invalid subject": lambda db, o: db.limits.consume(f"{PHONE}\0", MARK, limit=1, window=1),
    "invalid export": lambda db, o: db.privacy.erase(PHONE, reason=MARK),
    "not encoded": lambda db, o: db._core.db.fetchval("SELECT $1::int", PHONE),
    "not encoded in an array": lambda db, o: db._core.db.fetchval("SELECT $1::uuid[]", [PHONE]),
    "surrogate": lambda db, o: db._core.db.fetchval("SELECT $1::text", f"{PHONE}\ud800"),
    "not cast": lambda db, o: db._core.db.fetchval("SELECT $1::text::int", PHONE),
    "not a date": lambda db, o: db._core.db.fetchval("SELECT $1::text::date", PHONE),
    "not an expression": lambda db, o: db._core.db.fetchval("SELECT '' ~ $1::text", f"({PHONE}"),
    "not a statement": lambda db, o: db._core.db.fetchval(f"SELECT 1 {PHONE}"),
    "model not found": lambda db, o: User.get(email=f"no-{EMAIL}"),
    "model by id": lambda db, o: User.get(id=PHONE),
    "model by time": lambda db, o: User.filter(created_at__gt=PHONE).count(),
    "model by number": lambda db, o: User.filter(version=PHONE).count(),
    "model update": lambda db, o: VoiceModel.all().update(name=f"checked {MARK}"),
    "model save": save,
    "model with a wrong value": lambda db, o: KnowledgeDocument.all().update(created_at=PHONE),
}


def chain(error: BaseException) -> Iterator[BaseException]:
    found: list[BaseException] = [error]
    for link in found:
        near = (link.__cause__, link.__context__, *getattr(link, "exceptions", ()))
        found += [each for each in near if each is not None and each not in found]
    return iter(found)


def everything_said(error: BaseException) -> Iterator[str]:
    for link in chain(error):
        yield str(link)
        yield repr(link)
        yield repr(link.args)
        yield repr(vars(link))
        yield repr(getattr(link, "object", ""))  # what a UnicodeError holds
        yield from getattr(link, "__notes__", ())
    yield "".join(traceback.format_exception(error))


@pytest.mark.parametrize("call", FAILING.values(), ids=FAILING.keys())
async def test_no_error_repeats_it(
    digitwin_db: Database, owner: User, caplog: pytest.LogCaptureFixture, call: Call
) -> None:
    for logger in LOGGERS:
        caplog.set_level(logging.DEBUG, logger)
    with pytest.raises(DigiTwinError) as raised:
        await call(digitwin_db, owner)
    for said in everything_said(raised.value):
        assert MARK not in said.lower()
    assert MARK not in caplog.text.lower()


@pytest.mark.parametrize("code", ["23505", "23514", "22P02", "P0001"])
async def test_what_helps_to_find_a_fault_stays(
    digitwin_db: Database, owner: User, code: str
) -> None:
    call = {"23505": twice, "23514": FAILING["check"], "22P02": FAILING["not cast"]}.get(
        code, FAILING["trigger"]
    )
    with pytest.raises(DigiTwinError) as raised:
        await call(digitwin_db, owner)
    cause = next(link for link in chain(raised.value) if isinstance(link, asyncpg.PostgresError))
    assert (cause.sqlstate, cause.severity) == (code, "ERROR")
    if code[:2] == "23":
        assert cause.table_name
        assert cause.constraint_name in str(cause)


async def test_no_log_of_calls_that_succeed_repeats_it(
    digitwin_db: Database, owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in LOGGERS:
        caplog.set_level(logging.DEBUG, logger)
    db, me = digitwin_db, digitwin_db.for_user(owner.id)
    assert await User.get(name=MARK)
    await VoiceModel.filter(name=MARK).update(provider=MARK)
    assert await me.documents.search(MARK)
    voice = await VoiceModel.all().get()
    voice.provider = f"other {MARK}"
    await voice.save()
    await db.limits.consume(PHONE, "/chat", limit=1, window=1)
    await db.cache.responses.set(MARK, PHONE, user_id=owner.id)
    await db.privacy.erase(owner.id, reason="asked")
    assert MARK not in caplog.text.lower()
    assert 'FROM "users"' in caplog.text


async def test_no_repr_shows_it(digitwin_db: Database, owner: User) -> None:
    db, ask = digitwin_db, Ask(PHONE, "/chat", 1, 60)
    hit = (await db.documents.search(MARK, user_id=owner.id))[0]
    talk = await session(db)
    turn = await db.sessions.add_turn(talk.id, user_text=MARK, idempotency_key=MARK)
    shown = [
        Participant(kind="phone", ref=PHONE, name=MARK, traits=[MARK]),
        ask,
        await db.limits.consume_all([ask]),
        await db.limits.consume(PHONE, "/chat", limit=1, window=60),
        await db.limits.reserve(PHONE, "/chat", limit=9, window=60, cost=1),
        hit,
        *(hit.document, owner, talk, turn, await talk.participant),
        *[await db.users.list(), await db.voices.list(), await db.audit.list()],
        db.acting_as(user_agent=MARK).__enter__(),
        *(db, db.for_user(owner.id), db.settings, await db.health()),
        db.privacy.export(owner.id),
    ]
    for each in shown:
        assert MARK not in f"{each!r} {each}".lower(), type(each)


PERSONAL = {
    *("email", "name", "ref", "traits", "address", "subject", "headline", "passage", "text"),
    *("content", "title", "ip_address", "user_agent", "evidence", "metadata", "wrapped"),
}


def test_no_public_dataclass_shows_a_personal_field() -> None:
    kinds = [getattr(digitwin, name) for name in digitwin.__all__]
    shown = {
        (kind.__name__, field.name)
        for kind in kinds
        if dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
        if field.repr and field.name in PERSONAL
    }
    # The kind of an erasure's subject, and the name of a rule
    assert shown <= {("ErasureReceipt", "subject"), ("LedgerEntry", "subject"), ("Policy", "name")}
    assert SearchHit.__name__ not in {name for name, _ in shown}
