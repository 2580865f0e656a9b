"""Querysets that change or delete many rows: recorded, bounded, and undone as one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from tortoise.expressions import Case, F, When

from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.models import (
    AuditLog,
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User as Person,
    VoiceModel,
)
from digitwin.users.retention import DeletionRetention
from tests.support.waiting import UntilWaiting

HIDDEN = [(VoiceModel, "voices"), (FaceModel, "faces"), (KnowledgeDocument, "documents")]


@pytest.fixture
async def ada(digitwin_db: Database) -> Person:
    return await digitwin_db.users.create(email="ada@example.com", name="Ada")


@pytest.fixture
async def voices(digitwin_db: Database, ada: Person) -> list[VoiceModel]:
    rows = [{"user_id": ada.id, "name": f"Voice {n}", "provider": "old"} for n in range(3)]
    return await digitwin_db.voices.create_many(rows)


async def make(db: Database, kind: str, owner: Person) -> Any:
    if kind == "documents":
        return await db.documents.create(user_id=owner.id, title="Hours", content="From nine")
    return await getattr(db, kind).create(user_id=owner.id, name="Warm")


async def records(action: str) -> list[AuditLog]:
    return await AuditLog.filter(action=action).order_by("id")


async def test_an_update_records_each_row_that_it_changes(
    digitwin_db: Database, ada: Person, voices: list[VoiceModel]
) -> None:
    with digitwin_db.acting_as(actor_id=ada.id, request_id="r1"):
        changed = await VoiceModel.filter(name__not="Voice 2").update(
            provider="new", metadata={"a": 1}
        )
    found = await records("voice_model.update")
    assert changed == 2
    assert {each.resource_id for each in found} == {str(row.id) for row in voices[:2]}
    for each in found:
        assert (each.user_id, each.actor_id) == (ada.id, ada.id)
        assert each.metadata["changes"] == {"provider": {"before": "old", "after": "new"}}
        assert each.metadata["also_changed"] == ["metadata"]
        assert each.metadata["request_id"] == "r1"
    await digitwin_db.audit.seal()
    assert (await digitwin_db.audit.verify()).ok


async def test_what_an_update_computes_is_recorded(
    digitwin_db: Database, voices: list[VoiceModel]
) -> None:
    await VoiceModel.all().update(quality_score=0.25)
    score = Case(When(name="Voice 0", then=F("quality_score") * 2), default=F("quality_score"))
    await VoiceModel.filter(user__name="Ada").update(quality_score=score)
    changes = [each.metadata.get("changes") for each in await records("voice_model.update")]
    assert {"quality_score": {"before": 0.25, "after": 0.5}} in changes
    assert changes.count(None) == 2  # their rows were written, and hold what they held


async def test_an_update_of_a_limited_queryset_changes_those_alone(
    digitwin_db: Database, ada: Person, voices: list[VoiceModel]
) -> None:
    latest = VoiceModel.filter(user__name="Ada").order_by("-name").only("name")
    assert await latest.limit(2).update(provider="new") == 2
    assert await latest.offset(2).update(provider="last") == 1
    assert await VoiceModel.all().limit(0).update(provider="never") == 0
    told = await VoiceModel.all().order_by("name").values_list("provider", flat=True)
    assert told == ["last", "new", "new"]
    assert len(await records("voice_model.update")) == 3
    session = await digitwin_db.sessions.start(ada.id)
    for text in ("one", "two"):
        await digitwin_db.sessions.add_turn(session.id, user_text=text)
    assert await ConversationTurn.all().order_by("position").limit(1).update(total_ms=1) == 1
    times = await ConversationTurn.all().order_by("position").values_list("total_ms", flat=True)
    assert times == [1, None]


async def test_an_update_of_a_tier_is_a_change_of_tier(ada: Person) -> None:
    assert await Person.filter(id=ada.id).update(subscription_tier="pro", name="Ada L.") == 1
    (record,) = await records("user.tier_change")
    assert set(record.metadata["changes"]) == {"subscription_tier", "name"}


async def test_an_update_of_sessions_is_recorded(digitwin_db: Database, ada: Person) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    assert await ConversationSession.all().update(external_id="call-1") == 1
    assert [each.resource_id for each in await records("session.update")] == [str(session.id)]


async def test_a_bulk_update_is_recorded(digitwin_db: Database, voices: list[VoiceModel]) -> None:
    for voice in voices:
        voice.provider = "bulk"
    assert await VoiceModel.bulk_update(voices, ["provider"]) == 3
    found = await records("voice_model.update")
    assert [each.metadata["changes"]["provider"]["after"] for each in found] == ["bulk"] * 3
    assert {row.version for row in await VoiceModel.all()} == {2}


async def test_an_update_and_its_records_are_one(
    digitwin_db: Database, voices: list[VoiceModel]
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await VoiceModel.all().update(provider="never")
            raise ZeroDivisionError
    assert await records("voice_model.update") == []
    assert await VoiceModel.filter(provider="never").count() == 0


async def test_an_update_of_a_scope_changes_and_records_its_own(
    digitwin_db: Database, ada: Person, voices: list[VoiceModel]
) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    await make(digitwin_db, "voices", bob)
    me = await digitwin_db.for_user(ada.id).users.get(ada.id)
    assert await me.voice_models.all().update(provider="mine") == 3
    assert await VoiceModel.filter(provider="mine").count() == 3
    assert {each.user_id for each in await records("voice_model.update")} == {ada.id}


async def test_updates_at_once_record_each_change_once(
    digitwin_db: Database, voices: list[VoiceModel]
) -> None:
    await VoiceModel.all().update(quality_score=0.0)
    rise = [VoiceModel.all().update(quality_score=F("quality_score") + 0.125) for _ in range(6)]
    await asyncio.gather(*[_awaited(each) for each in rise])
    changes = [each.metadata["changes"]["quality_score"] for each in await records(UPDATE)]
    steps = Counter(change["before"] for change in changes if change["before"] is not None)
    assert steps == {n * 0.125: 3 for n in range(6)}


UPDATE = "voice_model.update"


async def _awaited(query: Any) -> Any:
    return await query


@pytest.mark.parametrize(("model", "kind"), HIDDEN)
async def test_many_are_deleted_and_restored_as_one(
    digitwin_db: Database, ada: Person, model: Any, kind: str
) -> None:
    db, repository = digitwin_db, getattr(digitwin_db, kind)
    first, second, other = [await make(db, kind, ada) for _ in range(3)]
    await db.cache.searches.set("hours", ["hit"], user_id=ada.id)
    with db.acting_as(actor_id=ada.id):
        assert await model.filter(id__in=[first.id, second.id]).delete() == 2
    (event,) = (await db.users.deletions(ada.id)).items
    gone = await model.all_objects.filter(deleted_at__isnull=False)
    assert {row.deletion_id for row in gone} == {event.id}
    assert {row.version for row in gone} == {2}
    assert (event.resource, event.resource_id) == (model.resource, first.id)
    assert event.actor_id == ada.id
    deleted = await records(f"{model.resource}.delete")
    assert {each.resource_id for each in deleted} == {str(first.id), str(second.id)}
    assert {each.metadata["deletion_id"] for each in deleted} == {str(event.id)}
    assert (await db.cache.searches.get("hours", user_id=ada.id) is None) == (kind == "documents")
    assert (await repository.restore(second.id)).id == second.id
    assert {row.id for row in await model.all()} == {first.id, second.id, other.id}
    assert len(await records(f"{model.resource}.restore")) == 2
    with pytest.raises(NotFoundError):
        await repository.restore(first.id)


async def test_people_are_deleted_with_what_they_own(digitwin_db: Database, ada: Person) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    voice = await make(digitwin_db, "voices", bob)
    session = await digitwin_db.sessions.start(bob.id)
    await digitwin_db.cache.responses.set("k", "v", user_id=bob.id)
    assert await Person.filter(name__in=["Ada", "Bob"]).delete() == 2
    events = (await digitwin_db.users.deletions()).items
    assert {(event.resource, event.resource_id) for event in events} == {
        ("user", ada.id),
        ("user", bob.id),
    }
    assert await VoiceModel.all().count() == await ConversationSession.all().count() == 0
    assert await digitwin_db.cache.responses.get("k", user_id=bob.id) is None
    await digitwin_db.users.restore(bob.id)
    assert (await digitwin_db.voices.get(voice.id)).id == voice.id
    assert (await digitwin_db.sessions.get(session.id)).end_reason == "user_deleted"
    assert await digitwin_db.users.find(ada.id) is None


async def test_a_deletion_is_bounded(
    digitwin_db: Database, voices: list[VoiceModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SoftDeleteRepository, "most_at_once", 2)
    with pytest.raises(InvalidInputError, match="limit") as caught:
        await VoiceModel.all().delete()
    assert caught.value.details["limit"] == 2
    assert await VoiceModel.all().count() == 3
    assert await VoiceModel.all().only("id").order_by("id").limit(2).delete() == 2
    assert [row.id for row in await VoiceModel.all()] == [voices[2].id]


async def test_a_deletion_of_a_scope_reaches_its_own(digitwin_db: Database, ada: Person) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    for owner in (ada, bob):
        await make(digitwin_db, "documents", owner)
    me = await digitwin_db.for_user(ada.id).users.get(ada.id)
    assert await me.documents.all().delete() == 1
    assert [row.user_id for row in await KnowledgeDocument.all()] == [bob.id]


@pytest.mark.parametrize(("model", "kind"), [*HIDDEN, (Person, "users")])
@pytest.mark.parametrize("within", ["alone", "in a transaction of nobody"])
async def test_in_a_transaction_of_a_scope_its_own_rows_are_deleted(
    digitwin_db: Database, ada: Person, model: Any, kind: str, within: str
) -> None:
    """Models take on the scope of the open transaction: their deletions, too."""
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    rows = [each if kind == "users" else await make(digitwin_db, kind, each) for each in (ada, bob)]
    async with AsyncExitStack() as stack:
        if within != "alone":
            await stack.enter_async_context(digitwin_db.transaction())
        async with digitwin_db.for_user(ada.id).transaction():
            with pytest.raises(NotFoundError):
                await rows[1].delete()
            assert await model.all().delete() == 1
        assert await model.all().values_list("id", flat=True) == [rows[1].id]


async def test_a_row_that_no_longer_matches_is_not_deleted(
    digitwin_db: Database, voices: list[VoiceModel], until_waiting: UntilWaiting
) -> None:
    async with digitwin_db.transaction():
        await digitwin_db.voices.update(voices[0].id, provider="new")
        deletion = asyncio.create_task(_elsewhere(VoiceModel.filter(provider="old")))
        await until_waiting(1)
    assert await deletion == 2
    assert [row.id for row in await VoiceModel.all()] == [voices[0].id]


CHANGES: dict[str, Callable[[list[VoiceModel]], Any]] = {
    "bulk_update": lambda rows: VoiceModel.bulk_update(rows, ["provider"]),
    "update": lambda rows: VoiceModel.all().order_by("-id").update(provider="new"),
    "delete": lambda rows: VoiceModel.all().order_by("-id").delete(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_rows_are_locked_in_the_order_of_their_ids(
    raw: asyncpg.Connection, voices: list[VoiceModel], until_waiting: UntilWaiting, change: Any
) -> None:
    """So that two such changes, in whatever order their rows were found, do not deadlock."""
    lock = "SELECT id FROM voice_models WHERE id = $1 FOR NO KEY UPDATE NOWAIT"
    async with raw.transaction():
        await raw.execute(lock, voices[0].id)
        changing = asyncio.ensure_future(_awaited(change(voices[::-1])))
        await until_waiting(1)
        assert await raw.fetchval(lock, voices[2].id) == voices[2].id
    assert await changing == 3


async def _awaited(query: Any) -> Any:
    return await query


async def _elsewhere(rows: Any) -> int:
    from digitwin.kernel.connection.transactions import outside

    with outside():
        count: int = await rows.delete()
    return count


async def test_an_active_model_comes_back_active(digitwin_db: Database, ada: Person) -> None:
    await digitwin_db.consents.grant(ada.id, purpose="voice", evidence="said so")
    one, two = [
        await digitwin_db.voices.create(user_id=ada.id, name=name, status="ready")
        for name in ("One", "Two")
    ]
    await digitwin_db.voices.activate(two.id)
    await VoiceModel.all().delete()
    await digitwin_db.voices.restore(one.id)
    active = await digitwin_db.voices.active_for(ada.id)
    assert active is not None
    assert active.id == two.id
    await VoiceModel.all().delete()
    new = await digitwin_db.voices.create(
        user_id=ada.id, name="New", status="ready", is_active=True
    )
    await digitwin_db.voices.restore(one.id)
    active = await digitwin_db.voices.active_for(ada.id)
    assert active is not None
    assert active.id == new.id


async def test_what_is_left_of_a_deletion_can_be_restored_and_becomes_final(
    digitwin_db: Database, voices: list[VoiceModel]
) -> None:
    db = digitwin_db
    await VoiceModel.all().delete()
    await db.voices.hard_delete(voices[0].id)
    assert (await db.voices.restore(voices[1].id)).id == voices[1].id
    await VoiceModel.all().delete()
    await db.voices.hard_delete(voices[1].id)
    retention = DeletionRetention(db._core, db.cache)
    assert await retention.make_final(0) == 1
    assert await VoiceModel.all_objects.all().count() == 0
