"""What is deleted shows on no path: one row of this matrix for each way to ask.

Every path is first walked while everything lives, and must then show it: a path that never
shows anything would keep any promise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from tortoise.expressions import F, Q, RawSQL, Subquery
from tortoise.functions import Avg, Count, Max, Min, Sum
from tortoise.query_utils import Prefetch

from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.errors import DigiTwinError
from digitwin.models import (
    Consent,
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    SessionParticipant,
    User,
    VoiceModel,
)


@dataclass
class World:
    """Ada lives and her things go one by one; Bob goes with all that is his."""

    db: Database
    ada: User
    bob: User
    voice: VoiceModel
    face: FaceModel
    document: KnowledgeDocument
    session: Any
    other_session: Any
    other_turn: Any
    his_session: Any
    his_turn: Any
    his_participant: Any

    async def end(self) -> None:
        await self.db.voices.delete(self.voice.id)
        await self.db.faces.delete(self.face.id)
        await self.db.documents.delete(self.document.id)
        await self.db.sessions.delete(self.other_session.id)
        await self.db.users.delete(self.bob.id)


PURPOSES: tuple[Literal["voice", "face"], ...] = ("voice", "face")


@pytest.fixture
async def world(digitwin_db: Database) -> World:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    bob = await db.users.create(email="bob@example.com", name="Bob")
    for purpose in PURPOSES:
        await db.consents.grant(ada.id, purpose=purpose, evidence="said so")
    voice = await db.voices.create(
        user_id=ada.id, name="Low", status="ready", is_active=True, quality_score=0.5
    )
    face = await db.faces.create(user_id=ada.id, name="Round", status="ready", is_active=True)
    document = await db.documents.create(user_id=ada.id, title="Hours", content="From nine.")
    session = await db.sessions.start(ada.id, voice_model_id=voice.id, face_model_id=face.id)
    await db.sessions.add_turn(session.id, user_text="Hi, Ada")
    other = await db.sessions.start(ada.id, external_id="a")
    heard = await db.sessions.add_turn(other.id, user_text="Bye, Ada")
    other = await db.sessions.get(other.id)
    sam = Participant(kind="guest", ref="web-1", name="Sam")
    await db.consents.grant(bob.id, purpose="recording", evidence="said so")
    theirs = await db.sessions.start(bob.id, participant=sam, external_id="b")
    turn = await db.sessions.add_turn(theirs.id, user_text="Hi, Bob")
    met = await SessionParticipant.get()
    return World(db, ada, bob, voice, face, document, session, other, heard, theirs, turn, met)


OF_A_PERSON: list[Any] = [
    User,
    VoiceModel,
    FaceModel,
    ConversationSession,
    ConversationTurn,
    KnowledgeDocument,
    SessionParticipant,
]

Path = Callable[[World], Awaitable[Any]]


async def names(rows: Any) -> list[str]:
    return sorted(row.name for row in await rows)


async def through(row: Any, relation: str) -> Any:
    await row.fetch_related(relation)
    return list(getattr(row, relation.partition("__")[0]))


async def to_one(row: Any, relation: str) -> Any:
    await row.fetch_related(relation)
    return getattr(row, relation)


async def voice_of_a_turn(w: World) -> Any:
    turn: Any = await ConversationTurn.get(user_text="Hi, Ada").select_related(
        "session__voice_model"
    )
    return turn.session.voice_model


async def in_list(rows: list[Any], relation: str) -> list[Any]:
    await type(rows[0]).fetch_for_list(rows, relation)
    return [len(getattr(row, relation)) for row in rows]


async def locked(w: World) -> Any:
    async with w.db.transaction():
        return await User.select_for_update().filter(name="Bob").exists()


async def iterated(w: World) -> list[Any]:
    return sorted([user.name async for user in User.all()])


async def of_each(rows: Any, relation: str) -> list[int]:
    return [len(getattr(row, relation)) for row in await rows]


async def one(rows: Any, relation: str) -> Any:
    (row,) = await rows
    return getattr(row, relation)


def count_of(relation: str) -> Any:
    return User.filter(name="Ada").annotate(n=Count(relation)).values_list("n", flat=True)


SEEN: dict[str, tuple[Path, Any]] = {
    # rows of one table
    "all": (lambda w: names(User.all()), ["Ada"]),
    "filter": (lambda w: names(User.filter(name="Bob")), []),
    "exclude": (lambda w: names(User.exclude(name="Ada")), []),
    "iteration": (iterated, ["Ada"]),
    "slice": (lambda w: User.all().order_by("-name")[0:1].values_list("name", flat=True), ["Ada"]),
    "get": (lambda w: User.get(id=w.bob.id).values("name"), "NotFoundError"),
    "get_or_none": (lambda w: User.get_or_none(id=w.bob.id), None),
    "by key": (lambda w: User[w.bob.id], "NotFoundError"),
    "first": (lambda w: User.filter(name="Bob").first(), None),
    "last": (lambda w: User.all().order_by("name").last().values("name"), {"name": "Ada"}),
    "earliest": (lambda w: User.filter(name="Bob").earliest("id"), None),
    "latest": (lambda w: User.latest("id").values("name"), {"name": "Ada"}),
    "exists": (lambda w: User.filter(name="Bob").exists(), False),
    "contains": (lambda w: User.all().contains(w.bob), False),
    "count": (lambda w: User.all().count(), 1),
    "values": (lambda w: User.filter(name="Bob").values("name", "email"), []),
    "values_list": (lambda w: User.all().values_list("name", flat=True), ["Ada"]),
    "only": (lambda w: names(User.all().only("name")), ["Ada"]),
    "in_bulk": (lambda w: User.in_bulk([w.bob.id], "id"), {}),
    "distinct": (lambda w: names(User.all().distinct()), ["Ada"]),
    "aggregate": (
        lambda w: VoiceModel.annotate(top=Max("quality_score")).values("top"),
        [{"top": None}],
    ),
    "sum": (
        lambda w: User.all().group_by("subscription_tier").annotate(n=Count("id")).values("n"),
        [{"n": 1}],
    ),
    "group by": (
        lambda w: KnowledgeDocument.annotate(n=Count("id")).group_by("title").values("title", "n"),
        [],
    ),
    "subquery": (
        lambda w: names(User.filter(id__in=Subquery(VoiceModel.all().values("user_id")))),
        [],
    ),
    "annotated subquery": (
        lambda w: (
            User.filter(name="Ada")
            .annotate(n=Subquery(VoiceModel.annotate(n=Count("id")).values("n")))
            .values_list("n", flat=True)
        ),
        [0],
    ),
    "a column of SQL": (
        lambda w: User.annotate(shout=RawSQL("upper(name)")).values_list("shout", flat=True),
        ["ADA"],
    ),
    "union": (lambda w: names(User.filter(name="Bob").union(User.filter(name="Bob"))), []),
    "select_for_update": (locked, False),
    "refresh": (lambda w: w.bob.refresh_from_db(), "NotFoundError"),
    "refresh of a field": (lambda w: w.voice.refresh_from_db(["name"]), "NotFoundError"),
    # rows with no deletion of their own
    "sessions": (lambda w: ConversationSession.filter(external_id="b").count(), 0),
    "a session": (lambda w: ConversationSession.get_or_none(external_id="a"), None),
    "refresh of a session": (lambda w: w.other_session.refresh_from_db(), "NotFoundError"),
    "turns of a deleted session": (
        lambda w: ConversationTurn.filter(session_id=w.other_session.id).count(),
        0,
    ),
    "turns of a deleted session at hand": (lambda w: w.other_session.turns, []),
    "sessions of an owner at hand": (lambda w: w.ada.sessions.filter(external_id="a").count(), 0),
    "session of a turn at hand": (lambda w: w.other_turn.session, None),
    "refresh of its turn": (lambda w: w.other_turn.refresh_from_db(), "NotFoundError"),
    "sessions across": (lambda w: User.filter(sessions__external_id="a").count(), 0),
    "turns across, of the owner": (
        lambda w: User.filter(sessions__turns__user_text="Bye, Ada").count(),
        0,
    ),
    "turns across, of all sessions": (
        lambda w: ConversationSession.all_objects.filter(turns__user_text="Bye, Ada").count(),
        0,
    ),
    "Count across, sessions": (lambda w: count_of("sessions"), [1]),
    "turns": (lambda w: ConversationTurn.filter(id=w.his_turn.id).count(), 0),
    "a turn": (lambda w: ConversationTurn.get_or_none(id=w.his_turn.id), None),
    "a turn by its text": (lambda w: ConversationTurn.filter(user_text="Hi, Bob").first(), None),
    "turns counted": (
        lambda w: ConversationTurn.annotate(n=Count("id")).group_by("status").values("n"),
        [{"n": 1}],
    ),
    "turns in a subquery": (
        lambda w: ConversationSession.filter(
            id__in=Subquery(ConversationTurn.all().values("session_id"))
        ).count(),
        1,
    ),
    "refresh of a turn": (lambda w: w.his_turn.refresh_from_db(), "NotFoundError"),
    "consents": (lambda w: Consent.filter(user_id=w.bob.id).count(), 0),
    "reverse to consents": (lambda w: w.bob.consents.all(), []),
    "participants": (lambda w: SessionParticipant.all().count(), 0),
    "a participant": (lambda w: SessionParticipant.get_or_none(ref="web-1"), None),
    "refresh of a participant": (lambda w: w.his_participant.refresh_from_db(), "NotFoundError"),
    "turns of a session at hand": (lambda w: w.his_session.turns, []),
    "sessions of a participant at hand": (lambda w: w.his_participant.sessions.all(), []),
    # relations
    "reverse": (lambda w: w.ada.voice_models, []),
    "reverse, asked further": (lambda w: w.ada.documents.filter(title="Hours").count(), 0),
    "reverse of the deleted": (lambda w: w.bob.sessions, []),
    "forward": (lambda w: w.session.voice_model, None),
    "forward to the owner": (lambda w: w.his_session.user, None),
    "forward of a turn": (lambda w: w.his_turn.session, None),
    "forward to a participant": (lambda w: w.his_session.participant, None),
    "fetch_related": (lambda w: through(w.ada, "face_models"), []),
    "fetch_related, forward": (lambda w: to_one(w.session, "face_model"), None),
    "fetch_related, two levels": (lambda w: through(w.bob, "sessions__turns"), []),
    "fetch_for_list": (lambda w: in_list([w.ada, w.bob], "sessions"), [1, 0]),
    "prefetch": (
        lambda w: of_each(User.filter(name="Ada").prefetch_related("documents"), "documents"),
        [0],
    ),
    "prefetch, forward": (
        lambda w: one(
            ConversationSession.filter(id=w.session.id).prefetch_related("voice_model"),
            "voice_model",
        ),
        None,
    ),
    "Prefetch": (
        lambda w: of_each(
            User.filter(name="Ada").prefetch_related(
                Prefetch("voice_models", VoiceModel.filter(name="Low"))
            ),
            "voice_models",
        ),
        [0],
    ),
    "Prefetch to a name": (
        lambda w: of_each(
            User.filter(name="Ada").prefetch_related(
                Prefetch("voice_models", VoiceModel.all(), to_attr="heard")
            ),
            "heard",
        ),
        [0],
    ),
    "select_related": (
        lambda w: one(
            ConversationSession.filter(id=w.session.id).select_related("voice_model"),
            "voice_model",
        ),
        None,
    ),
    "select_related, two levels": (voice_of_a_turn, None),
    # across joins
    "filter across, reverse": (lambda w: User.filter(voice_models__name="Low").count(), 0),
    "filter across, forward": (
        lambda w: ConversationSession.filter(voice_model__name="Low").count(),
        0,
    ),
    "filter across, two levels": (
        lambda w: User.filter(sessions__voice_model__name="Low").count(),
        0,
    ),
    "filter across, two levels, forward": (
        lambda w: ConversationTurn.filter(session__voice_model__name="Low").count(),
        0,
    ),
    "filter across, back and forth": (
        lambda w: VoiceModel.all_objects.filter(sessions__face_model__name="Round").count(),
        0,
    ),
    "filter across by Q": (
        lambda w: User.filter(Q(documents__title="Hours") | Q(face_models__name="Round")).count(),
        0,
    ),
    "filter across, excluded": (
        lambda w: ConversationSession.filter(~Q(voice_model__name="Other")).count(),
        0,
    ),
    "filter by the relation": (lambda w: User.filter(voice_models=w.voice.id).count(), 0),
    "filter by the relation, in": (lambda w: User.filter(documents__in=[w.document.id]).count(), 0),
    "filter by the relation, none": (
        lambda w: User.filter(voice_models__isnull=True, name="Ada").count(),
        1,
    ),
    "filter by the relation, some": (
        lambda w: User.filter(documents__not_isnull=True).count(),
        0,
    ),
    "isnull across": (lambda w: User.filter(voice_models__id__isnull=False).count(), 0),
    "isnull across, forward": (
        lambda w: ConversationSession.filter(id=w.session.id, voice_model__id__isnull=True).count(),
        1,
    ),
    "update across": (lambda w: User.filter(voice_models__name="Low").update(name="Ada"), 0),
    "values across": (
        lambda w: User.filter(name="Ada").values_list("voice_models__name", flat=True),
        [None],
    ),
    "values across, forward": (
        lambda w: ConversationSession.filter(id=w.session.id).values_list(
            "voice_model__name", "face_model__name"
        ),
        [(None, None)],
    ),
    "values across, two levels": (
        lambda w: ConversationTurn.filter(user_text="Hi, Ada").values_list(
            "session__face_model__name", flat=True
        ),
        [None],
    ),
    "values under a name": (
        lambda w: User.filter(name="Ada").values(voice="voice_models__name"),
        [{"voice": None}],
    ),
    "order across": (
        lambda w: (
            User.filter(name="Ada")
            .order_by("voice_models__name")
            .values_list("voice_models__name", flat=True)
        ),
        [None],
    ),
    "order across, forward": (
        lambda w: (
            ConversationSession.filter(id=w.session.id)
            .order_by("-voice_model__name")
            .values_list("voice_model__name", flat=True)
        ),
        [None],
    ),
    "F across": (
        lambda w: (
            User.filter(name="Ada")
            .annotate(heard=F("voice_models__name"))
            .values_list("heard", flat=True)
        ),
        [None],
    ),
    "F across, computed": (
        lambda w: (
            User.filter(name="Ada")
            .annotate(heard=F("voice_models__quality_score") + F("voice_models__quality_score"))
            .values_list("heard", flat=True)
        ),
        [None],
    ),
    "Count across": (lambda w: count_of("voice_models"), [0]),
    "Count across, documents": (lambda w: count_of("documents"), [0]),
    "Count across, two levels": (
        lambda w: (
            User.filter(name="Ada")
            .annotate(n=Count("sessions__voice_model__id"))
            .values_list("n", flat=True)
        ),
        [0],
    ),
    "Count across, filtered": (
        lambda w: (
            User.annotate(n=Count("voice_models", _filter=Q(voice_models__name="Low")))
            .filter(name="Ada")
            .values_list("n", flat=True)
        ),
        [0],
    ),
    "having": (lambda w: User.annotate(n=Count("documents")).filter(n__gte=1).count(), 0),
    "Count of all": (
        lambda w: (
            User.all_objects.filter(name="Bob")
            .annotate(n=Count("sessions__turns"))
            .values_list("n", flat=True)
        ),
        [0],
    ),
    "Max across": (
        lambda w: (
            User.filter(name="Ada")
            .annotate(n=Max("voice_models__quality_score"))
            .values_list("n", flat=True)
        ),
        [None],
    ),
    "Sum, Min and Avg across": (
        lambda w: (
            ConversationSession.filter(id=w.session.id)
            .annotate(
                a=Sum("voice_model__quality_score"),
                b=Min("voice_model__name"),
                c=Avg("voice_model__quality_score"),
            )
            .values_list("a", "b", "c")
        ),
        [(None, None, None)],
    ),
    "turns across": (
        lambda w: ConversationSession.all_objects.filter(turns__user_text="Hi, Bob").count(),
        0,
    ),
    "participants across": (
        lambda w: ConversationSession.all_objects.filter(participant__name="Sam").count(),
        0,
    ),
    "the owner across": (
        lambda w: ConversationSession.all_objects.filter(user__name="Bob").count(),
        0,
    ),
}


CHANGED: dict[str, tuple[Path, Any]] = {
    "save": (lambda w: w.voice.save(), "StaleVersionError"),
    "save of a field": (lambda w: w.face.save(update_fields=["name"]), "StaleVersionError"),
    "save of a session": (lambda w: w.other_session.save(), "StaleVersionError"),
    "save of its turn": (lambda w: w.other_turn.save(), "StaleVersionError"),
    "queryset update of sessions": (
        lambda w: ConversationSession.filter(external_id="a").update(metadata={}),
        0,
    ),
    "queryset update of its turns": (
        lambda w: ConversationTurn.filter(user_text="Bye, Ada").update(total_ms=1),
        0,
    ),
    "queryset delete of sessions": (
        lambda w: ConversationSession.filter(external_id="a").delete(),
        0,
    ),
    "instance delete of a session": (lambda w: w.other_session.delete(), "NotFoundError"),
    "save of a turn": (lambda w: w.his_turn.save(), "StaleVersionError"),
    "save of a participant": (lambda w: w.his_participant.save(), "StaleVersionError"),
    "queryset update": (lambda w: User.filter(name="Bob").update(name="Bob"), 0),
    "queryset update of turns": (
        lambda w: ConversationTurn.filter(user_text="Hi, Bob").update(total_ms=1),
        0,
    ),
    "queryset update of participants": (lambda w: SessionParticipant.all().update(name="S"), 0),
    "queryset update across": (
        lambda w: User.filter(voice_models__name="Low").update(name="Ada"),
        0,
    ),
    "queryset delete": (lambda w: VoiceModel.all().delete(), 0),
    "queryset delete across": (lambda w: VoiceModel.filter(user__name="Ada").delete(), 0),
    "instance delete": (lambda w: w.face.delete(), "NotFoundError"),
    "bulk_update": (
        lambda w: VoiceModel.bulk_update([w.voice], ["name"]),
        "StaleVersionError",
    ),
    "get_or_create": (lambda w: User.get_or_create(id=w.bob.id), "InvalidStateError"),
    "update_or_create": (
        lambda w: VoiceModel.update_or_create({"name": "New"}, id=w.voice.id),
        "InvalidStateError",
    ),
    "get_or_create of a participant": (
        lambda w: SessionParticipant.get_or_create(user_id=w.bob.id, kind="guest", ref="web-1"),
        "NotFoundError",
    ),
    "update_or_create of a participant": (
        lambda w: SessionParticipant.update_or_create(
            {"name": "S"}, user_id=w.bob.id, kind="guest", ref="web-1"
        ),
        "NotFoundError",
    ),
    # creation under a deleted parent
    "participant": (
        lambda w: SessionParticipant.create(user_id=w.bob.id, kind="phone"),
        "NotFoundError",
    ),
    "participants": (
        lambda w: SessionParticipant.bulk_create(
            [SessionParticipant(user_id=w.bob.id, kind="phone")]
        ),
        "NotFoundError",
    ),
    "participant, saved": (
        lambda w: SessionParticipant(user_id=w.bob.id, kind="phone").save(),
        "NotFoundError",
    ),
    "voice": (lambda w: w.db.voices.create(user_id=w.bob.id, name="V"), "NotFoundError"),
    "voices": (
        lambda w: w.db.voices.create_many([{"user_id": w.bob.id, "name": "V"}]),
        "NotFoundError",
    ),
    "face": (lambda w: w.db.faces.create(user_id=w.bob.id, name="F"), "NotFoundError"),
    "faces": (
        lambda w: w.db.faces.create_many([{"user_id": w.bob.id, "name": "F"}]),
        "NotFoundError",
    ),
    "document": (
        lambda w: w.db.documents.create(user_id=w.bob.id, title="T", content="C"),
        "NotFoundError",
    ),
    "documents": (
        lambda w: w.db.documents.create_many([{"user_id": w.bob.id, "title": "T", "content": "C"}]),
        "NotFoundError",
    ),
    "session": (lambda w: w.db.sessions.start(w.bob.id), "NotFoundError"),
    "session with a voice": (
        lambda w: w.db.sessions.start(w.ada.id, voice_model_id=w.voice.id),
        "NotFoundError",
    ),
    "session with a face": (
        lambda w: w.db.sessions.start(w.ada.id, face_model_id=w.face.id),
        "NotFoundError",
    ),
    "turn of a deleted session": (
        lambda w: w.db.sessions.add_turn(w.other_session.id, user_text="Still?"),
        "NotFoundError",
    ),
    "turns of a deleted session": (
        lambda w: w.db.sessions.add_turns(w.other_session.id, [{"user_text": "Still?"}]),
        "NotFoundError",
    ),
    "amended turn of a deleted session": (
        lambda w: w.db.sessions.amend_turn(
            w.other_turn.id, session_id=w.other_session.id, twin_text="Yes"
        ),
        "NotFoundError",
    ),
    "end of a deleted session": (
        lambda w: w.db.sessions.end(w.other_session.id),
        "NotFoundError",
    ),
    "update of a deleted session": (
        lambda w: w.db.sessions.update(w.other_session.id, metadata={"a": 1}),
        "NotFoundError",
    ),
    "turn": (
        lambda w: w.db.sessions.add_turn(w.his_session.id, user_text="Still?"),
        "NotFoundError",
    ),
    "amended turn": (
        lambda w: w.db.sessions.amend_turn(
            w.his_turn.id, session_id=w.his_session.id, twin_text="Yes"
        ),
        "NotFoundError",
    ),
}


async def outcome(path: Path, world: World) -> Any:
    try:
        found = await path(world)
    except DigiTwinError as error:
        return type(error).__name__
    return list(found) if isinstance(found, set | tuple) else found


@pytest.mark.parametrize("name", SEEN)
async def test_what_is_deleted_does_not_show(world: World, name: str) -> None:
    path, hidden = SEEN[name]
    before = await outcome(path, world)
    await world.end()
    assert await outcome(path, world) == hidden
    assert before != hidden


@pytest.mark.parametrize("name", CHANGED)
async def test_what_is_deleted_does_not_change(world: World, name: str) -> None:
    path, refused = CHANGED[name]
    await world.end()
    rows = [await model.all_objects.all().order_by("id").values() for model in OF_A_PERSON]
    assert await outcome(path, world) == refused
    assert [await model.all_objects.all().order_by("id").values() for model in OF_A_PERSON] == rows


@pytest.mark.parametrize("name", CHANGED)
async def test_what_lives_does_change(world: World, name: str) -> None:
    path, refused = CHANGED[name]
    assert await outcome(path, world) != refused


async def test_all_objects_shows_the_rows_it_is_asked_for(world: World) -> None:
    await world.end()
    for model, n in zip(OF_A_PERSON, (2, 1, 1, 3, 3, 1, 1), strict=True):
        assert await model.all_objects.all().count() == n
        assert len(await model.all_objects.all()) == n


async def test_what_is_joined_to_all_objects_is_asked_for_by_name(world: World) -> None:
    await world.end()
    sessions = ConversationSession.all_objects.filter(id=world.session.id)
    assert await sessions.values_list("voice_model__name", flat=True) == [None]
    assert await sessions.values_list("voice_model_id", flat=True) == [world.voice.id]
    voices = Prefetch("voice_model", VoiceModel.all_objects.all())
    (session,) = await sessions.prefetch_related(voices)
    assert session.voice_model == world.voice
    everything = Prefetch("documents", KnowledgeDocument.all_objects.all())
    (ada,) = await User.filter(name="Ada").prefetch_related(everything)
    assert list(ada.documents) == [world.document]


async def test_no_relation_goes_through_a_table_between(world: World) -> None:
    """A filter by such a relation would join that table alone, which knows of no deletion."""
    assert not [model for model in OF_A_PERSON if model._meta.m2m_fields]


async def test_a_plan_says_what_it_leaves_out(world: World) -> None:
    plan = await User.filter(voice_models__name="Low").explain()
    assert str(plan).count("deleted_at IS NULL") >= 2
