"""A visitor finds what was said in their own sessions, and nothing else."""

from __future__ import annotations

import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import User
from tests.integration.conversations.search.conftest import Find, Tell

SAM, KIM = Participant("guest", "web-1"), Participant("guest", "web-2")


async def test_a_visitor_finds_their_own_sessions(find: Find, tell: Tell) -> None:
    sams, kims = await tell("apples", participant=SAM), await tell("apples", participant=KIM)
    await tell("apples")
    hits = await find("apples", audience="visitor", participant_id=sams.participant_id)
    assert [hit.session_id for hit in hits] == [sams.id]
    assert {hit.participant_id for hit in hits} == {sams.participant_id}
    assert (
        await find(
            "apples", audience="visitor", participant_id=sams.participant_id, session_id=kims.id
        )
        == []
    )


async def test_a_visitors_search_needs_the_visitor(digitwin_db: Database, ada: User) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.sessions.search("apples", user_id=ada.id, audience="visitor")
    assert error.value.details["field"] == "participant_id"


async def test_scores_tell_nothing_of_others(find: Find, tell: Tell) -> None:
    sams = await tell("apples and pears", "pears", participant=SAM)
    visitor = {"audience": "visitor", "participant_id": sams.participant_id}
    before = [hit.score for hit in await find("apples pears", **visitor)]
    await tell(*["apples"] * 50, participant=KIM)
    assert [hit.score for hit in await find("apples pears", **visitor)] == before


async def test_a_participant_of_somebody_else_finds_nothing(
    find: Find, tell: Tell, bob: User
) -> None:
    await tell("apples", participant=SAM)
    bobs = await tell("apples", participant=SAM, owner=bob)
    assert await find("apples", audience="visitor", participant_id=bobs.participant_id) == []
