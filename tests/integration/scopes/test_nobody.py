"""The nil UUID stands for nobody in rows: no caller can pass it for a person, or for anything."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import AuditLog, SessionParticipant, User
from digitwin.privacy.subjects import hash_of_user

NIL = UUID(int=0)
SPELLINGS = [NIL, str(NIL), NIL.hex]

IDS = {"id", "user_id", "actor_id", "session_id", "turn_id"}
PARTS = (
    *("users", "voices", "faces", "sessions", "documents", "consents", "audit", "keys", "privacy"),
    *("limits", "memories"),
)
STORES = ("embeddings", "searches", "responses")
REST: dict[str, Any] = {
    "id": "0192a3b4-0000-7000-8000-000000000001",
    "session_id": "0192a3b4-0000-7000-8000-000000000002",
    "turn_id": "0192a3b4-0000-7000-8000-000000000003",
    "user_id": "0192a3b4-0000-7000-8000-000000000004",
    "purpose": "voice",
    "evidence": "said so",
    "reason": "x",
    "key": "k",
    "value": [1.0],
    "values": {},
    "error": "x",
    "worker": "w",
    "query": "x",
    "external_id": "call-1",
    "endpoint": "/chat",
    "keys": [],
    "namespace": ["n"],
    "operations": [],
}
"""What the methods need besides."""
SAYING = ("add_turn", "amend_turn", "close_turn", "extend_turn", "open_turn")
FIELDS: dict[str, dict[str, Any]] = {
    "users.create": {"email": "n@example.com", "name": "N"},
    "users.update": {"name": "N"},
    **{f"{part}.create": {"user_id": REST["user_id"], "name": "N"} for part in ("voices", "faces")},
    **{f"{part}.update": {"name": "N"} for part in ("voices", "faces")},
    "documents.create": {"user_id": REST["user_id"], "title": "T", "content": "C"},
    "documents.update": {"title": "N"},
    **{
        f"sessions.{name}": {"user_id": REST["user_id"]}
        for name in ("start", "create", "start_or_get", "search")
    },
    "sessions.update": {"metadata": {}},
    "sessions.add_artifact": {"kind": "file", "artifact_uri": "s3://x"},
    **{f"sessions.{name}": {"user_text": "x"} for name in SAYING},
    "sessions.add_items": {"items": [{"kind": "custom"}]},
    "sessions.add_usage": {"kind": "llm"},
    "sessions.add_turns": {"new_turns": [{"user_text": "x"}]},
    "sessions.import_lines": {"lines": []},
    "sessions.items": {"session_id": REST["session_id"]},
    **{f"sessions.import_{name}": {"messages": []} for name in ("openai", "langchain")},
}


def methods(parts: Any, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Every parameter of a public method that names a person or a thing."""
    return [
        (part, name, parameter)
        for part in names
        for name, method in inspect.getmembers(getattr(parts, part), inspect.ismethod)
        if name[0] != "_"
        for parameter in inspect.signature(method).parameters
        if parameter in IDS
    ]


async def called(part: str, method: Any, parameter: str, value: object) -> None:
    needed = FIELDS.get(f"{part}.{method.__name__}", {}) | {
        name: REST[name]
        for name, each in inspect.signature(method).parameters.items()
        if each.default is each.empty and each.kind != each.VAR_KEYWORD
        if name in REST
    }
    if method.__name__ == "get_or_create":
        needed["factory"] = made
    answer = method(**needed | {parameter: value})
    if isinstance(answer, AsyncIterator):
        async for _ in answer:
            pass
    else:
        await answer


async def made() -> Any:
    raise AssertionError("the arguments come first")


@pytest.mark.parametrize("nil", SPELLINGS, ids=["uuid", "text", "hex"])
async def test_no_method_takes_it(digitwin_db: Database, nil: object) -> None:
    tried = methods(digitwin_db, PARTS) + methods(digitwin_db.cache, STORES)
    assert len(tried) > 60
    # called by the package itself, with the ids of rows
    inner = {("keys", "has_key"), ("privacy", "before_final"), ("keys", "prefetch")}
    for part, name, parameter in tried:
        if (part, name) in inner:
            continue
        owner: Any = digitwin_db.cache if part in STORES else digitwin_db
        method = getattr(getattr(owner, part), name)
        with pytest.raises(InvalidInputError, match="nil UUID") as refused:
            await called(part, method, parameter, nil)
        assert refused.value.details["field"] == parameter, (part, name)


AMONG_FIELDS: dict[str, Callable[[Database], Awaitable[object]]] = {
    "users.create": lambda db: db.users.create(id=NIL, email="n@example.com", name="N"),
    "voices.create": lambda db: db.voices.create(user_id=NIL, name="N"),
    "documents.create_many": lambda db: db.documents.create_many(
        [{"user_id": NIL, "title": "T", "content": "C"}]
    ),
    "users.create_many": lambda db: db.users.create_many(
        [{"id": NIL, "email": "n@example.com", "name": "N"}]
    ),
    "sessions.create_many": lambda db: db.sessions.create_many([{"user_id": NIL}]),
    "voices.list": lambda db: db.voices.list(user_id=NIL),
    "sessions.count": lambda db: db.sessions.count(user_id=NIL),
    "documents.exists": lambda db: db.documents.exists(user_id=NIL),
    "audit.record": lambda db: db.audit.record("a", "r", user_id=NIL),
    "audit.list": lambda db: db.audit.list(user_id=NIL),
    "users.deletions": lambda db: db.users.deletions(NIL),
    "check": lambda db: db.limits.check(NIL, "/chat"),
}


@pytest.mark.parametrize("name", AMONG_FIELDS)
async def test_nor_among_the_fields(digitwin_db: Database, name: str) -> None:
    with pytest.raises(InvalidInputError, match="nil UUID") as refused:
        await AMONG_FIELDS[name](digitwin_db)
    assert refused.value.details["field"] in ("id", "user_id")


async def test_a_scope_and_an_actor_are_somebody(digitwin_db: Database, ada: Any) -> None:
    with pytest.raises(InvalidInputError, match="user_id must not be the nil UUID"):
        digitwin_db.for_user(NIL)
    for scope in (digitwin_db, digitwin_db.for_user(ada.user)):
        with pytest.raises(InvalidInputError, match="actor_id must not be the nil UUID"):
            scope.acting_as(actor_id=NIL)
    with pytest.raises(InvalidInputError, match="actor_id"):
        await digitwin_db.audit.record("a", "r", actor_id=NIL)
    with pytest.raises(InvalidInputError, match="user_id"):
        await digitwin_db.for_user(ada.user).voices.create(user_id=NIL, name="N")


async def test_a_model_does_not_store_it(digitwin_db: Database, ada: Any) -> None:
    for make in (
        lambda: SessionParticipant.create(id=NIL, user_id=ada.user, kind="guest"),
        lambda: SessionParticipant.create(user_id=NIL, kind="guest"),
        lambda: SessionParticipant.create(user_id=ada.user, kind="user", ref=NIL.hex),
        lambda: AuditLog.create(action="a", resource="r", actor_id=NIL),
    ):
        with pytest.raises(InvalidInputError, match="nil UUID"):
            await make()
    record = await AuditLog.create(action="a", resource="r")
    assert record.user_id == NIL


@pytest.mark.parametrize("name", [NIL.hex, f"user:{NIL}", f"user:{{{NIL}}}"])
async def test_nor_does_a_name_of_a_persons_form_hold_it(digitwin_db: Database, name: str) -> None:
    with pytest.raises(InvalidInputError, match="nil UUID"):
        await digitwin_db.limits.consume(name, "/chat", limit=1, window=1)
    with pytest.raises(InvalidInputError, match="nil UUID"):
        Participant("user", name)
    with pytest.raises(InvalidInputError, match="nil UUID"):
        await digitwin_db.privacy.erase_participant(kind="user", ref=name, reason="x")


async def test_what_belongs_to_nobody_stays(digitwin_db: Database, raw: asyncpg.Connection) -> None:
    """Shared cache entries and records of no person, even where a nil user was stored before."""
    await digitwin_db.cache.responses.set("shared", "answer")
    await digitwin_db.audit.record("clean.up", "system")
    await raw.execute("INSERT INTO users (id, email, name) VALUES ($1, 'n@e.com', 'N')", NIL)
    await raw.execute(
        "INSERT INTO erasures (id, subject, subject_hash, reason, completed_at, counts)"
        " VALUES (gen_random_uuid(), 'user', $1, 'x', now(), '{}')",
        hash_of_user(NIL),
    )
    for call in (
        lambda: digitwin_db.users.delete(NIL),
        lambda: digitwin_db.users.hard_delete(NIL),
        lambda: digitwin_db.privacy.erase(NIL, reason="x"),
    ):
        with pytest.raises(InvalidInputError, match="nil UUID"):
            await call()
    with pytest.raises(InvalidInputError, match="nil UUID"):
        digitwin_db.privacy.export(NIL)
    assert (await digitwin_db.privacy.replay()).users == 0
    await digitwin_db.maintain()
    assert await digitwin_db.cache.responses.get("shared") == "answer"
    (record,) = (await digitwin_db.audit.list(action="clean.up")).items
    assert record.user_id == NIL
    assert await User.filter(id=NIL).exists()
