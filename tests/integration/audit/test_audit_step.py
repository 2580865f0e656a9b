"""No change without its record, no record without its change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, DigiTwinError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.repository.entities import EntityRepository
from digitwin.models import AuditLog, KnowledgeDocument, User, VoiceModel

ENTITIES = ("users", "voices", "faces", "sessions", "documents", "consents")
READS = {
    *("get", "find", "list", "stream", "count", "exists", "statistics", "search", "export"),
    *(
        "get_by_email",
        "find_by_email",
        "active_for",
        "in_force",
        "with_turns",
        "turns",
        "overviews",
        "items",
        "latest_items",
        "sources",
        "usage_totals",
        "deletions",
        "to_openai",
        "to_langchain",
        "artifacts",
        "get_artifact",
        "find_artifact",
    ),
}
EXEMPT = {
    ("documents", "renew"): "a sign of life; claim, complete and fail are recorded",
    ("sessions", "add_turn"): "turns are not audited one by one",
    ("sessions", "add_turns"): "turns are not audited one by one",
    ("sessions", "amend_turn"): "turns are not audited one by one",
    ("sessions", "add_items"): "items are data themselves, as turns are",
    ("sessions", "add_usage"): "usage is data itself, and far more of it",
    ("sessions", "close_turn"): "turns are not audited one by one",
    ("sessions", "extend_turn"): "turns are not audited one by one",
    ("sessions", "open_turn"): "turns are not audited one by one",
    ("sessions", "pop_item"): "items are data themselves, as turns are",
}


@dataclass
class World:
    """Somebody with one of everything, in every state that a method wants."""

    db: Database
    ada: User
    gone: User
    session: UUID
    deleted_session: UUID
    artifact: UUID
    models: dict[tuple[str, str], UUID]
    document: UUID
    deleted_document: UUID
    lease: Any = None


@pytest.fixture
async def world(digitwin_db: Database) -> World:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    gone = await db.users.create(email="gone@example.com", name="Gone")
    await db.users.delete(gone.id)
    models = {}
    await db.consents.grant(ada.id, purpose="voice", evidence="said so")
    await db.consents.grant(ada.id, purpose="face", evidence="said so")
    for kind, repository in (("voices", db.voices), ("faces", db.faces)):
        for state in ("idle", "active", "deleted"):
            model = await repository.create(user_id=ada.id, name=state, status="ready")
            models[kind, state] = model.id
        await repository.activate(models[kind, "active"])
        await repository.delete(models[kind, "deleted"])
    session = await db.sessions.start(ada.id)
    over = await db.sessions.start(ada.id)
    await db.sessions.delete(over.id)
    kept = await db.sessions.add_artifact(session.id, kind="file", artifact_uri="s3://x")
    document = await db.documents.create(user_id=ada.id, title="T", content="c")
    deleted = await db.documents.create(user_id=ada.id, title="D", content="d")
    await db.documents.delete(deleted.id)
    return World(db, ada, gone, session.id, over.id, kept.id, models, document.id, deleted.id)


async def _claimed(world: World) -> Any:
    world.lease = await world.db.documents.claim(worker="w", lease_seconds=60)
    assert world.lease is not None
    return world.lease.document


_EMPTY = (
    '{"format":"digitwin-conversations","version":"1.0"}',
    '{"type":"session"}',
    '{"type":"end"}',
)


async def _imported(world: World, method: str, given: Any) -> Any:
    """The session that an import stored."""
    done = await getattr(world.db.sessions, method)(given, user_id=world.ada.id)
    [stored] = done if isinstance(done, list) else [done]
    return await world.db.sessions.get(stored.session_id)


Call = Callable[[World], Awaitable[Any]]
CALLS: dict[tuple[str, str], Call] = {
    ("users", "create"): lambda w: w.db.users.create(email="new@example.com", name="New"),
    ("users", "create_many"): lambda w: w.db.users.create_many(
        [{"email": "new@example.com", "name": "New"}]
    ),
    ("users", "update"): lambda w: w.db.users.update(w.ada.id, name="Countess"),
    ("users", "delete"): lambda w: w.db.users.delete(w.ada.id),
    ("users", "restore"): lambda w: w.db.users.restore(w.gone.id),
    ("users", "hard_delete"): lambda w: w.db.users.hard_delete(w.ada.id),
    ("sessions", "start"): lambda w: w.db.sessions.start(w.ada.id),
    ("sessions", "create"): lambda w: w.db.sessions.create(w.ada.id),
    ("sessions", "start_or_get"): lambda w: w.db.sessions.start_or_get(w.ada.id, external_id="x"),
    ("sessions", "create_many"): lambda w: w.db.sessions.create_many([{"user_id": w.ada.id}]),
    ("sessions", "update"): lambda w: w.db.sessions.update(w.session, external_id="x"),
    ("sessions", "end"): lambda w: w.db.sessions.end(w.session),
    ("sessions", "delete"): lambda w: w.db.sessions.delete(w.session),
    ("sessions", "restore"): lambda w: w.db.sessions.restore(w.deleted_session),
    ("sessions", "hard_delete"): lambda w: w.db.sessions.hard_delete(w.session),
    ("sessions", "import_lines"): lambda w: _imported(w, "import_lines", _EMPTY),
    ("sessions", "import_openai"): lambda w: _imported(w, "import_openai", []),
    ("sessions", "import_langchain"): lambda w: _imported(w, "import_langchain", []),
    ("sessions", "add_artifact"): lambda w: w.db.sessions.add_artifact(
        w.session, kind="image", artifact_uri="s3://y"
    ),
    ("sessions", "delete_artifact"): lambda w: w.db.sessions.delete_artifact(w.artifact),
    ("sessions", "reopen"): lambda w: w.db.sessions.reopen(w.session),
    ("documents", "create"): lambda w: w.db.documents.create(
        user_id=w.ada.id, title="N", content="n"
    ),
    ("documents", "create_many"): lambda w: w.db.documents.create_many(
        [{"user_id": w.ada.id, "title": "N", "content": "n"}]
    ),
    ("documents", "update"): lambda w: w.db.documents.update(w.document, title="Other"),
    ("documents", "delete"): lambda w: w.db.documents.delete(w.document),
    ("documents", "restore"): lambda w: w.db.documents.restore(w.deleted_document),
    ("documents", "hard_delete"): lambda w: w.db.documents.hard_delete(w.document),
    ("consents", "grant"): lambda w: w.db.consents.grant(
        w.ada.id, purpose="voice", evidence="anew"
    ),
    ("consents", "withdraw"): lambda w: w.db.consents.withdraw(w.ada.id, purpose="recording"),
    ("documents", "claim"): _claimed,
    ("documents", "complete"): lambda w: w.db.documents.complete(w.lease),
    ("documents", "fail"): lambda w: w.db.documents.fail(w.lease, "no"),
    ("documents", "retry"): lambda w: w.db.documents.retry(w.document),
}


def _of_models(kind: str) -> dict[tuple[str, str], Call]:
    def of(world: World) -> Any:
        return getattr(world.db, kind)

    return {
        (kind, "create"): lambda w: of(w).create(user_id=w.ada.id, name="N"),
        (kind, "create_many"): lambda w: of(w).create_many([{"user_id": w.ada.id, "name": "N"}]),
        (kind, "update"): lambda w: of(w).update(w.models[kind, "idle"], name="Other"),
        (kind, "delete"): lambda w: of(w).delete(w.models[kind, "idle"]),
        (kind, "restore"): lambda w: of(w).restore(w.models[kind, "deleted"]),
        (kind, "hard_delete"): lambda w: of(w).hard_delete(w.models[kind, "idle"]),
        (kind, "activate"): _activate_alone(kind),
        (kind, "deactivate"): lambda w: of(w).deactivate(w.models[kind, "active"]),
    }


def _activate_alone(kind: str) -> Call:
    async def call(world: World) -> Any:
        return await getattr(world.db, kind).activate(world.models[kind, "idle"])

    return call


CALLS |= _of_models("voices") | _of_models("faces")
NOUN = {
    "users": "user",
    "voices": "voice_model",
    "faces": "face_model",
    "sessions": "session",
    "documents": "document",
    "consents": "consent",
}
_IMPORTS = ("import_lines", "import_openai", "import_langchain")
VERB = {"create_many": "create", "start_or_get": "start", **dict.fromkeys(_IMPORTS, "import")}
ACTIONS = {
    "add_artifact": "session_artifact.create",
    "delete_artifact": "session_artifact.hard_delete",
}
"""What is not named by its repository and method."""


def expected(entity: str, method: str) -> str:
    if method in ACTIONS:
        return ACTIONS[method]
    verb = VERB.get(method, method)
    return f"{NOUN[entity]}.{'start' if entity == 'sessions' and verb == 'create' else verb}"


async def prepare(world: World, entity: str, method: str) -> None:
    if method in ("complete", "fail", "retry"):
        assert (await _claimed(world)).id == world.document
    if method == "retry":
        await world.db.documents.fail(world.lease, "no")
    if method == "reopen":
        await world.db.sessions.end(world.session)
    if method == "withdraw":
        await world.db.consents.grant(world.ada.id, purpose="recording", evidence="said so")
    if method == "activate":
        await getattr(world.db, entity).deactivate(world.models[entity, "active"])


async def trail() -> list[AuditLog]:
    return await AuditLog.all().order_by("id")


async def state(raw: asyncpg.Connection) -> list[Any]:
    """Every row that a method could change."""
    tables = ("users", "user_emails", "voice_models", "face_models", "conversation_sessions")
    more = ("knowledge_documents", "consents", "session_artifacts", "artifact_deletions")
    return [
        sorted(map(str, await raw.fetch(f"SELECT * FROM {table}")))
        for table in (*tables, *more, "audit_logs")
    ]


def public(repository: EntityRepository[Any]) -> set[str]:
    return {
        name
        for name in dir(repository)
        if not name.startswith("_")
        and callable(getattr(repository, name))
        and name.islower()
        # classes of rows and adapters stand beside the methods
        and name not in ("model", "new", "changes", "filters")
    }


async def test_every_method_that_changes_something_is_audited(digitwin_db: Database) -> None:
    for entity in ENTITIES:
        found = public(getattr(digitwin_db, entity)) - READS
        known = {method for of, method in (*CALLS, *EXEMPT) if of == entity}
        assert found == known, f"say how {found ^ known} of db.{entity} is audited, or why not"


@pytest.mark.parametrize(("entity", "method"), sorted(CALLS))
async def test_it_leaves_one_record_of_who_did_it_from_where_in_which_request(
    world: World, entity: str, method: str
) -> None:
    await prepare(world, entity, method)
    before, actor = len(await trail()), uuid7()
    with world.db.acting_as(
        actor_id=actor, ip_address="192.0.2.7", user_agent="curl/8", request_id="r-1"
    ):
        answer = await CALLS[entity, method](world)
    [record] = (await trail())[before:]
    action = expected(entity, method)
    assert (record.action, record.resource) == (action, action.partition(".")[0])
    assert (record.actor_id, record.ip_address, record.user_agent, record.result) == (
        actor,
        "192.0.2.7",
        "curl/8",
        "success",
    )
    assert record.metadata["request_id"] == "r-1"
    row = answer[0] if isinstance(answer, list | tuple) else answer
    if row is not None and not isinstance(row, UUID):
        assert record.resource_id == str(row.id)
        assert record.user_id == (row.id if entity == "users" else row.user_id)
    else:
        assert record.user_id == world.ada.id


@pytest.fixture
async def no_records(raw: asyncpg.Connection) -> AsyncIterator[Callable[[], Any]]:
    """From when it is called, the trail takes nothing in."""

    async def refuse() -> None:
        await raw.execute(
            "ALTER TABLE audit_logs ADD CONSTRAINT ck_audit_logs__closed CHECK (false) NOT VALID"
        )

    yield refuse
    await raw.execute("ALTER TABLE audit_logs DROP CONSTRAINT IF EXISTS ck_audit_logs__closed")


@pytest.mark.parametrize(("entity", "method"), sorted(CALLS))
async def test_without_its_record_nothing_changes(
    world: World,
    raw: asyncpg.Connection,
    no_records: Callable[[], Any],
    entity: str,
    method: str,
) -> None:
    await prepare(world, entity, method)
    await no_records()
    before = await state(raw)
    with pytest.raises(DigiTwinError) as error:
        await CALLS[entity, method](world)
    assert error.value.details["constraint"] == "ck_audit_logs__closed"
    assert await state(raw) == before


@pytest.mark.parametrize(("entity", "method"), sorted(CALLS))
async def test_what_is_rolled_back_leaves_neither(
    world: World, raw: asyncpg.Connection, entity: str, method: str
) -> None:
    await prepare(world, entity, method)
    before = await state(raw)
    with pytest.raises(LookupError):
        async with world.db.transaction():
            await CALLS[entity, method](world)
            raise LookupError
    assert await state(raw) == before


async def test_a_change_that_fails_leaves_no_record(world: World) -> None:
    before = len(await trail())
    for failing in (
        world.db.users.create(email="ADA@example.com", name="Other"),
        world.db.users.create_many(
            [{"email": f"{name}@example.com", "name": name} for name in ("new", "ada")]
        ),
        world.db.documents.create(id=world.document, user_id=world.ada.id, title="T", content="c"),
    ):
        with pytest.raises(AlreadyExistsError):
            await failing
    for missing in (
        world.db.users.update(uuid7(), name="Other"),
        world.db.users.delete(world.gone.id),
        world.db.users.restore(world.ada.id),
        world.db.voices.hard_delete(uuid7()),
        world.db.documents.create(user_id=world.gone.id, title="T", content="c"),
        world.db.sessions.start(world.gone.id),
    ):
        with pytest.raises(NotFoundError):
            await missing
    await world.db.voices.activate(world.models["voices", "active"])
    await world.db.voices.deactivate(world.models["voices", "idle"])
    assert len(await trail()) == before


async def test_one_record_a_row_of_many(world: World) -> None:
    before = len(await trail())
    users = await world.db.users.create_many(
        [{"email": f"n{n}@example.com", "name": str(n)} for n in range(20)]
    )
    made = (await trail())[before:]
    assert {record.user_id for record in made} == {user.id for user in users}
    assert len(made) == len({record.id for record in made}) == 20


async def test_who_makes_room_for_the_active_one_is_recorded_too(world: World) -> None:
    before = len(await trail())
    await world.db.voices.activate(world.models["voices", "idle"])
    assert [(r.action, r.resource_id) for r in (await trail())[before:]] == [
        ("voice_model.deactivate", str(world.models["voices", "active"])),
        ("voice_model.activate", str(world.models["voices", "idle"])),
    ]


async def last() -> AuditLog:
    return (await trail())[-1]


async def test_what_changed_is_told_as_before_and_after(world: World) -> None:
    await world.db.users.update(world.ada.id, name="Countess", email="countess@example.com")
    assert (await last()).metadata == {
        "changes": {
            "name": {"before": "Ada", "after": "Countess"},
            "email": {"before": "ada@example.com", "after": "countess@example.com"},
        }
    }


async def test_what_stayed_the_same_is_not_told(world: World) -> None:
    await world.db.users.update(world.ada.id, name="Ada", settings={})
    record = await last()
    assert (record.action, record.metadata) == ("user.update", {})


async def test_a_change_of_tier_has_a_name_of_its_own(world: World) -> None:
    await world.db.users.update(world.ada.id, subscription_tier="pro", name="A")
    record = await last()
    assert record.action == "user.tier_change"
    assert record.metadata["changes"]["subscription_tier"] == {"before": "free", "after": "pro"}
    await world.db.users.update(world.ada.id, subscription_tier="pro", name="B")
    assert (await last()).action == "user.update"


async def test_nothing_is_told_as_null_that_was_null(world: World) -> None:
    await world.db.voices.update(world.models["voices", "idle"], provider="x", quality_score=0.5)
    assert (await last()).metadata["changes"] == {
        "provider": {"before": None, "after": "x"},
        "quality_score": {"before": None, "after": 0.5},
    }


SECRET = "s3cr3t"


async def test_what_is_secret_biometric_or_bulky_is_told_by_name_alone(
    world: World, raw: asyncpg.Connection
) -> None:
    db = world.db
    await db.users.update(
        world.ada.id, settings={"a": SECRET}, personality_traits=[SECRET], name="A"
    )
    assert set((await last()).metadata["also_changed"]) == {"settings", "personality_traits"}
    await db.voices.update(
        world.models["voices", "idle"],
        artifact_uri=f"s3://{SECRET}",
        checksum=SECRET,
        metadata={"a": SECRET},
    )
    assert set((await last()).metadata["also_changed"]) == {"artifact_uri", "checksum", "metadata"}
    await db.documents.update(
        world.document, content=SECRET, source_uri=SECRET, metadata={"a": SECRET}
    )
    told = (await last()).metadata
    assert {"content", "content_hash", "source_uri", "metadata"} <= set(told["also_changed"])
    await db.sessions.update(world.session, external_id=SECRET, metadata={"a": SECRET})
    user = await User.get(id=world.ada.id)
    user.settings = {"b": SECRET}
    await user.save()
    rows = await raw.fetch("SELECT audit_logs::text AS row FROM audit_logs")
    assert not [row["row"] for row in rows if SECRET in row["row"]]


async def test_a_save_is_recorded_with_what_it_changed(world: World) -> None:
    user = await User.get(id=world.ada.id)
    user.name, user.subscription_tier = "Countess", "pro"
    with world.db.acting_as(request_id="r-9"):
        await user.save()
    record = await last()
    assert (record.action, record.user_id, record.resource_id) == (
        "user.tier_change",
        user.id,
        str(user.id),
    )
    assert record.metadata == {
        "request_id": "r-9",
        "changes": {
            "name": {"before": "Ada", "after": "Countess"},
            "subscription_tier": {"before": "free", "after": "pro"},
        },
    }


async def test_a_save_without_its_record_is_none(
    world: World, no_records: Callable[[], Any]
) -> None:
    voice = await VoiceModel.get(id=world.models["voices", "idle"])
    await no_records()
    voice.name = "Other"
    with pytest.raises(DigiTwinError):
        await voice.save()
    assert (await VoiceModel.get(id=voice.id)).name == "idle"


async def test_an_instance_deletes_as_its_repository_does(world: World) -> None:
    await (await VoiceModel.get(id=world.models["voices", "idle"])).delete()
    assert (await last()).action == "voice_model.delete"
    await (await KnowledgeDocument.get(id=world.document)).delete()
    assert (await last()).action == "document.delete"


async def test_each_of_two_updates_at_once_tells_what_it_found(world: World) -> None:
    """The row is locked before it is compared: the second compares with the first's outcome."""
    names = [f"n{n}" for n in range(8)]
    await asyncio.gather(*(world.db.users.update(world.ada.id, name=name) for name in names))
    records = await AuditLog.filter(action="user.update")
    changes = [record.metadata["changes"]["name"] for record in records]
    steps = {change["before"]: change["after"] for change in changes}
    walked, name = [], "Ada"
    while name in steps:
        name = steps[name]
        walked.append(name)
    assert sorted(walked) == names
    assert (await world.db.users.get(world.ada.id)).name == name


@pytest.mark.parametrize("noun", ["user", "voice_model", "document"])
async def test_time_that_makes_a_deletion_final_is_on_record(
    world: World, raw: asyncpg.Connection, noun: str
) -> None:
    tag = await raw.execute(
        "UPDATE deletions SET deleted_at = deleted_at - interval '90 days' WHERE resource = $1",
        noun,
    )
    assert tag == "UPDATE 1"
    assert (await world.db.maintain()).final_deletions == 1
    record = await last()
    assert (record.action, record.resource) == (f"{noun}.hard_delete", noun)
    assert await AuditLog.filter(
        action=f"{noun}.delete", resource_id=record.resource_id, user_id=record.user_id
    ).exists()
    assert set(record.metadata) == {"deletion_id"}


async def test_no_deletion_is_final_without_its_record(
    world: World, raw: asyncpg.Connection, no_records: Callable[[], Any]
) -> None:
    await raw.execute("UPDATE deletions SET deleted_at = deleted_at - interval '90 days'")
    await no_records()
    before = await state(raw)
    with pytest.raises(DigiTwinError):
        await world.db.maintain()
    assert await state(raw) == before
