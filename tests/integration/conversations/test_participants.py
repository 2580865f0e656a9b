"""A returning participant is the same participant."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import pytest

from digitwin import Participant
from digitwin.conversations.participant import Kind
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.models import SessionParticipant, User
from tests.integration.conversations.conftest import WRITERS

ROUNDS = 5


async def meet(sessions: Sessions, owner: User, **fields: Any) -> SessionParticipant:
    """The participant of a new session."""
    participant = Participant(**{"kind": "guest", "ref": "web-1", **fields})
    session = await sessions.start(owner.id, participant=participant)
    met = await session.participant
    assert met is not None
    return met


@pytest.mark.parametrize("kind", get_args(Kind))
async def test_a_participant_is_stored_as_described(
    sessions: Sessions, ada: User, kind: Kind
) -> None:
    met = await meet(sessions, ada, kind=kind, ref="r", name="Sam", traits=["likes tea", "deaf"])
    assert (met.user_id, met.kind, met.ref, met.name) == (ada.id, kind, "r", "Sam")
    assert met.traits == ["likes tea", "deaf"]


async def test_the_same_kind_and_ref_is_the_same_participant(sessions: Sessions, ada: User) -> None:
    assert (await meet(sessions, ada)).id == (await meet(sessions, ada)).id


async def test_another_kind_ref_or_owner_is_somebody_else(
    sessions: Sessions, ada: User, bob: User
) -> None:
    met = [
        await meet(sessions, ada),
        await meet(sessions, ada, kind="phone"),
        await meet(sessions, ada, ref="web-2"),
        await meet(sessions, bob),
    ]
    assert len({participant.id for participant in met}) == 4


async def test_without_a_ref_each_session_has_a_participant_of_its_own(
    sessions: Sessions, ada: User
) -> None:
    first, second = [await meet(sessions, ada, ref=None, name="Sam") for _ in range(2)]
    assert first.id != second.id


async def test_a_name_or_traits_given_again_replace_those_kept(
    sessions: Sessions, ada: User
) -> None:
    await meet(sessions, ada, name="Sam", traits=["likes tea"])
    renamed = await meet(sessions, ada, name="Samuel")
    assert (renamed.name, renamed.traits) == ("Samuel", ["likes tea"])
    known = await meet(sessions, ada, traits=["likes coffee", "deaf"])
    assert (known.name, known.traits) == ("Samuel", ["likes coffee", "deaf"])


async def test_what_is_not_given_again_is_kept(sessions: Sessions, ada: User) -> None:
    await meet(sessions, ada, name="Sam", traits=["likes tea"])
    again = await meet(sessions, ada)
    assert (again.name, again.traits) == ("Sam", ["likes tea"])


async def test_whoever_starts_many_sessions_at_once_is_one_participant(
    crowd: Sessions, ada: User
) -> None:
    for n in range(ROUNDS):
        participant = Participant(kind="guest", ref=f"web-{n}", name="Sam")
        started = await asyncio.gather(
            *(crowd.start(ada.id, participant=participant) for _ in range(WRITERS))
        )
        [id] = {session.participant_id for session in started}
        assert await crowd.count(participant_id=id) == WRITERS


async def test_many_sessions_with_the_same_people_in_any_order_never_wait_in_a_circle(
    crowd: Sessions, ada: User
) -> None:
    people = [Participant(kind="guest", ref=f"web-{n}") for n in range(8)]
    rows: list[Any] = [{"user_id": ada.id, "participant": guest} for guest in people]
    for _ in range(ROUNDS):
        await asyncio.gather(
            *(crowd.create_many(given) for given in (rows, rows[::-1]) for _ in range(3))
        )
    participants = {session.participant_id async for session in crowd.stream()}
    assert len(participants) == len(people)
