"""One id is one row: a taken id is refused, and what finds a row by its id alone never chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import AlreadyExistsError, DigiTwinError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import FaceModel, KnowledgeDocument, SessionParticipant, VoiceModel
from digitwin.testing import DatabaseFactory
from tests.integration.scopes.conftest import Belongings
from tests.integration.scopes.test_isolation import GIVEN, ids_for, methods, outcome

FIELDS: dict[str, dict[str, Any]] = {
    "voices": {"name": "N"},
    "faces": {"name": "N"},
    "documents": {"title": "T", "content": "C"},
    "sessions": {},
}
KINDS = {"voices": "voice", "faces": "face", "documents": "document", "sessions": "session"}
WAYS: dict[str, Callable[[Database, UUID], Any]] = {
    "unscoped": lambda db, person: db,
    "of the person": lambda db, person: db.for_user(person),
    "of a service": lambda db, person: db.for_service(reason="test"),
}
Way = Callable[[Database, UUID], Any]


async def told(making: Any, given: UUID) -> tuple[Any, ...]:
    with pytest.raises(AlreadyExistsError) as refused:
        await making
    details = dict(refused.value.details)
    assert details.pop("id", str(given)) == str(given)  # nothing but what the caller gave
    return str(refused.value), details, "id" in refused.value.details, refused.value.code


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_taken_id_is_refused_whoever_owns_its_row(
    digitwin_db: Database, ada: Belongings, bob: Belongings, kind: str, many: bool, way: Way
) -> None:
    rows = getattr(way(digitwin_db, bob.user), kind)

    async def make(id: UUID) -> object:
        row = {"id": id, "user_id": bob.user, **FIELDS[kind]}
        return await (rows.create_many([row]) if many else rows.create(**row))

    hers, his = getattr(ada, KINDS[kind]), getattr(bob, KINDS[kind])
    answer = await told(make(hers), hers)
    assert answer == await told(make(his), his)
    assert answer[1]["field"] == "id"
    async with way(digitwin_db, bob.user).transaction():
        with pytest.raises(AlreadyExistsError):
            async with digitwin_db.transaction():
                await make(hers)
        await rows.list()
    everybodys: Any = getattr(digitwin_db, kind)
    assert (await everybodys.get(hers)).user_id == ada.user
    assert await everybodys.count() == 2


async def test_a_taken_id_of_a_user_is_refused(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    new = {"email": "new@example.com", "name": "N"}
    await digitwin_db.users.delete(bob.user)
    for id in (ada.user, bob.user):
        answer = await told(digitwin_db.users.create(id=id, **new), id)
        assert answer[:2] == ("id is already taken", {"field": "id"})
        assert await told(digitwin_db.users.create_many([{"id": id, **new}]), id) == answer


async def test_a_model_itself_is_refused_it_too(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    (hers,) = await SessionParticipant.filter(user_id=ada.user)
    with pytest.raises(AlreadyExistsError) as refused:
        await SessionParticipant.create(id=hers.id, user_id=bob.user, kind="guest")
    assert refused.value.details["field"] == "id"


@pytest.mark.parametrize("kind", KINDS)
async def test_of_many_who_take_an_id_at_once_one_has_it(
    digitwin_db: Database, digitwin_db_factory: DatabaseFactory, kind: str
) -> None:
    other = await digitwin_db_factory(digitwin_db._target.url)
    id, people = uuid7(), []
    for n in range(6):
        people.append(await digitwin_db.users.create(email=f"{n}@example.com", name="N"))
    ends = await asyncio.gather(
        *(
            getattr(db.for_user(person.id), kind).create(id=id, **FIELDS[kind])
            for db, person in zip((digitwin_db, other) * 3, people, strict=True)
        ),
        return_exceptions=True,
    )
    assert [type(end) for end in ends].count(AlreadyExistsError) == 5
    assert await getattr(digitwin_db, kind).count() == 1


@pytest.fixture
async def distributed(
    ada: Belongings, bob: Belongings, raw: asyncpg.Connection, digitwin_db: Database
) -> Belongings:
    """Bob's rows have the ids of Ada's, as a distributed schema allows."""
    for index in await raw.fetch("SELECT relname FROM pg_class WHERE relname ~ '^uq_.*__id$'"):
        await raw.execute(f"DROP INDEX {index['relname']}")
    his = digitwin_db.for_user(bob.user)
    await his.voices.create(id=ada.voice, name="Twice", status="ready")
    await his.faces.create(id=ada.face, name="Twice", status="ready")
    await his.documents.create(id=ada.document, title="Twice", content="Twice")
    await his.sessions.start(id=ada.session)
    await his.sessions.add_artifact(
        ada.session, id=ada.artifact, kind="file", artifact_uri="s3://twice"
    )
    for person in (ada.user, bob.user):
        while await digitwin_db.for_user(person).documents.claim(worker="w", lease_seconds=600):
            pass
    return ada


async def everything(raw: asyncpg.Connection) -> list[list[Any]]:
    tables = ("voice_models", "face_models", "knowledge_documents", "conversation_sessions")
    tables = (*tables, "conversation_turns", "session_artifacts", "deletions", "audit_logs")
    return [await raw.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]


READ_MANY = {"export", "items", "search", "sources", "usage_totals"}
"""They read rows of a session or a turn, and return no row that has the id."""
BY_ID = [
    (part, name) for part, name in methods(owner=False) if part != "users" and name not in READ_MANY
]


@pytest.mark.parametrize(("part", "name"), BY_ID)
async def test_an_id_of_two_rows_is_never_chosen_from(
    digitwin_db: Database,
    distributed: Belongings,
    bob: Belongings,
    raw: asyncpg.Connection,
    part: str,
    name: str,
) -> None:
    if name == "restore":
        for person in (distributed.user, bob.user):
            await getattr(digitwin_db.for_user(person), part).delete(
                ids_for(part, name, distributed)["id"]
            )
    before = await everything(raw)
    given = ids_for(part, name, distributed) | GIVEN.get(name, {})
    with pytest.raises(InvalidStateError, match="has this id: name its owner"):
        await getattr(getattr(digitwin_db, part), name)(**given)
    assert await everything(raw) == before
    found = await outcome(digitwin_db.for_user(distributed.user), part, name, **given)
    if isinstance(found, DigiTwinError):  # of her own row: a model without consent, for instance
        assert "has this id" not in str(found)
    for row in found if isinstance(found, list) else [found]:
        assert getattr(row, "user_id", distributed.user) == distributed.user


async def test_a_model_does_not_choose_either(
    digitwin_db: Database, distributed: Belongings
) -> None:
    for model, id in (
        (VoiceModel, distributed.voice),
        (FaceModel, distributed.face),
        (KnowledgeDocument, distributed.document),
    ):
        with pytest.raises(InvalidStateError):
            await model.get(id=id)
        row = await model.get(id=id, user_id=distributed.user)
        with pytest.raises(InvalidStateError):
            await row.delete()
