"""Whatever happens to people and what is theirs, in whatever order: what is there is what a few
dictionaries say."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count, product
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from digitwin.connecting import connect
from digitwin.errors import AlreadyExistsError, DigiTwinError, InvalidStateError, NotFoundError
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from digitwin.privacy.erasure import is_known
from digitwin.users.retention import DeletionRetention

RESOURCES = {
    "voices": "voice_model",
    "faces": "face_model",
    "documents": "document",
    "sessions": "session",
}
MODELS: dict[str, Any] = {
    "voices": VoiceModel,
    "faces": FaceModel,
    "documents": KnowledgeDocument,
    "sessions": ConversationSession,
}
WEIGHTS = {
    "create_thing": 5,
    "delete_thing": 8,
    "restore_thing": 6,
    "hard_delete_thing": 1,
    "create_user": 2,
    "delete_user": 4,
    "restore_user": 5,
    "hard_delete_user": 1,
    "erase_user": 1,
    "make_final": 1,
}
"""How often each comes: what cannot be taken back would else end histories before they begin."""


@dataclass
class Thing:
    """Something of a person's: under which deletion it is hidden, and whether it has ended."""

    kind: str
    hidden: int | None = None
    ended: bool = False
    voice: UUID | None = None


@dataclass
class Event:
    resource: str
    about: UUID
    restored: bool = False
    final: bool = False


@dataclass
class Person:
    email: str
    hidden: int | None = None
    things: dict[UUID, Thing] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)


class Histories(RuleBasedStateMachine):
    """One example is one history; people of earlier ones stay in the database."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._db = self._run(_open(self.url))
        self._numbers = count()
        self._people: dict[UUID, Person] = {}
        self._seen: list[UUID] = []
        self._seen_things: list[tuple[UUID, UUID]] = []
        self._erased: set[UUID] = set()
        for name in ("ada", "bob"):
            self.create_user(name)
        for owner, kind in product(list(self._people), ("voices", "voices", *sorted(MODELS))):
            self.create_thing(owner, kind)

    @rule(seed=st.integers(0, 2**32 - 1))
    def something_happens(self, seed: int) -> None:
        """One rule for all: left to choose among rules, Hypothesis hardly tried most of them."""
        dice = Random(seed)
        (act,) = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if act == "make_final":
            self.make_final()
        elif act == "create_user":
            self.create_user(dice.choice(["ada", "bob", "cleo"]))
        elif act == "create_thing":
            self.create_thing(dice.choice(self._seen), dice.choice(sorted(MODELS)))
        elif act.endswith("_user"):
            getattr(self, act)(dice.choice(self._seen))
        elif act == "delete_thing":
            self.delete_thing(dice.choice(self._seen_things), dice.random() < 0.5)
        else:
            getattr(self, act)(dice.choice(self._seen_things))

    def teardown(self) -> None:
        # what is left of this history would be in the way of the next one's addresses
        for id in self._people:
            self._run(self._db.users.hard_delete(id))
        self._run(self._db.close())
        self._runner.close()

    def create_user(self, name: str) -> Any:
        return self._new_person(f"{name}@example.com")

    def _new_person(self, email: str) -> UUID | None:
        taken = any(p.email == email and p.hidden is None for p in self._people.values())
        user = self._try(
            self._db.users.create(email=email, name="N"), AlreadyExistsError if taken else None
        )
        if user is None:
            return None
        self._people[user.id] = Person(email)
        self._seen.append(user.id)
        id: UUID = user.id
        return id

    def create_thing(self, owner: UUID | None, kind: str) -> Any:
        return None if owner is None else self._new_thing(owner, kind)

    def _new_thing(self, owner: UUID, kind: str) -> Any:
        person = self._people.get(owner)
        voice = None
        if kind == "sessions":
            voices = person.things.items() if person else ()
            voice = next((id for id, t in voices if t.kind == "voices" and t.hidden is None), None)
            call: Any = self._start(owner, voice)
        elif kind == "documents":
            call = self._db.documents.create(user_id=owner, title="T", content="C")
        else:
            call = getattr(self._db, kind).create(user_id=owner, name="N", status="ready")
        dead = person is None or person.hidden is not None
        made = self._try(call, NotFoundError if dead else None)
        if made is None or person is None:
            return None
        person.things[made.id] = Thing(kind, voice=voice)
        self._seen_things.append((owner, made.id))
        return owner, made.id

    def delete_thing(self, thing: Any, by_model: bool) -> None:
        person, found, id = self._look(thing)
        if found is None:
            return
        dead = found.hidden is not None
        repository: Any = getattr(self._db, found.kind)
        call = repository.delete(id, reason="history")
        if by_model:
            call.close()
            call = self._delete_through_model(found.kind, id)
        self._try(call, NotFoundError if dead else None)
        if not dead:
            found.hidden, found.ended = next(self._numbers), True
            person.events[found.hidden] = Event(RESOURCES[found.kind], id)

    def restore_thing(self, thing: Any) -> None:
        person, found, id = self._look(thing)
        if found is None:
            return
        error: type[DigiTwinError] | None = None
        if found.hidden is None:
            error = NotFoundError
        elif person.hidden is not None:
            error = InvalidStateError
        self._try(getattr(self._db, found.kind).restore(id), error)
        if error is None and found.hidden is not None:
            person.events[found.hidden].restored = True
            found.hidden = None

    def hard_delete_thing(self, thing: Any) -> None:
        person, found, id = self._look(thing)
        if found is None:
            return
        self._try(getattr(self._db, found.kind).hard_delete(id), None)
        self._forget(person, id)
        if found.hidden is not None and person.events[found.hidden].about == id:
            person.events[found.hidden].final = True

    def delete_user(self, id: UUID | None) -> None:
        if id is None:
            return
        person = self._people.get(id)
        dead = person is None or person.hidden is not None
        self._try(self._db.users.delete(id), NotFoundError if dead else None)
        if dead or person is None:
            return
        person.hidden = next(self._numbers)
        person.events[person.hidden] = Event("user", id)
        for thing in person.things.values():
            if thing.hidden is None:
                thing.hidden = person.hidden
                thing.ended = True

    def restore_user(self, id: UUID | None) -> None:
        if id is None:
            return
        person = self._people.get(id)
        error: type[DigiTwinError] | None = None
        if person is None or person.hidden is None:
            error = NotFoundError
        elif any(p.email == person.email and p.hidden is None for p in self._people.values()):
            error = AlreadyExistsError
        self._try(self._db.users.restore(id), error)
        if error is not None or person is None or person.hidden is None:
            return
        person.events[person.hidden].restored = True
        for thing in person.things.values():
            if thing.hidden == person.hidden:
                thing.hidden = None
        person.hidden = None

    def hard_delete_user(self, id: UUID | None) -> None:
        if id is not None:
            gone = id not in self._people
            self._try(self._db.users.hard_delete(id), NotFoundError if gone else None)
            self._people.pop(id, None)

    def erase_user(self, id: UUID) -> None:
        """Somebody gone is still known to the trail; a second erasure repeats the receipt."""
        self._try(self._db.privacy.erase(id, reason="history"), None)
        self._people.pop(id, None)
        self._erased.add(id)

    def make_final(self) -> None:
        self._run(DeletionRetention(self._db._core, self._db.cache).make_final(0))
        for id, person in list(self._people.items()):
            if person.hidden is not None:
                del self._people[id]
                continue
            for number, event in person.events.items():
                if not event.restored and not event.final:
                    event.final = True
                    for thing_id, thing in list(person.things.items()):
                        if thing.hidden == number:
                            self._forget(person, thing_id)

    @invariant()
    def nothing_differs(self) -> None:
        self._run(self._compare())

    async def _compare(self) -> None:
        hidden = {person.hidden for person in self._people.values()} - {None}
        assert await User.all_objects.all().count() == len(self._people)
        assert await User.all().count() == len(self._people) - len(hidden)
        shown = [p.email for p in self._people.values() if p.hidden is None]
        assert sorted(shown) == sorted(await User.all().values_list("email", flat=True))
        for kind, model in MODELS.items():
            things = {
                id: thing
                for person in self._people.values()
                for id, thing in person.things.items()
                if thing.kind == kind
            }
            rows = {row.id: row for row in await model.all_objects.all()}
            assert rows.keys() == things.keys()
            living = {id for id, thing in things.items() if thing.hidden is None}
            assert {row.id for row in await model.all()} == living
            assert {row.id async for row in getattr(self._db, kind).stream()} == living
            if kind == "sessions":
                told = {id: (row.status == "ended", row.voice_model_id) for id, row in rows.items()}
                assert told == {id: (thing.ended, thing.voice) for id, thing in things.items()}
                turns = await ConversationTurn.all().values_list("session_id", flat=True)
                assert set(turns) == living
        for id in self._erased:
            assert not await self._db._core.db.fetchval(is_known(), person=id)
        for id, person in self._people.items():
            events = (await self._db.users.deletions(id, limit=1000)).items
            assert [
                Event(e.resource, e.resource_id, e.restored_at is not None, e.final_at is not None)
                for e in events
            ] == list(person.events.values())

    def _look(self, thing: Any) -> tuple[Any, Thing | None, Any]:
        owner, id = thing or (None, None)
        person = self._people.get(owner) if owner else None
        return person, person.things.get(id) if person else None, id

    def _forget(self, person: Person, id: UUID) -> None:
        """A row that is gone for good leaves the sessions that named it."""
        del person.things[id]
        for thing in person.things.values():
            if thing.voice == id:
                thing.voice = None

    async def _start(self, owner: UUID, voice: UUID | None) -> Any:
        session = await self._db.sessions.start(owner, voice_model_id=voice)
        await self._db.sessions.add_turn(session.id, user_text="Hi")
        return session

    async def _delete_through_model(self, kind: str, id: UUID) -> None:
        await (await MODELS[kind].all_objects.get(id=id)).delete()

    def _try(self, call: Coroutine[Any, Any, Any], error: type[DigiTwinError] | None) -> Any:
        """What the call gives; None where it is refused, as it must be."""
        try:
            found, refused = self._run(call), None
        except DigiTwinError as raised:
            found, refused = None, type(raised)
        assert refused is error
        return found

    def _run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(call)


async def _open(url: str) -> Any:
    return await connect(url, migrate="skip")


def test_no_history_ends_differently(digitwin_url: str) -> None:
    class Here(Histories):
        url = digitwin_url

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # making a history shorter takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
