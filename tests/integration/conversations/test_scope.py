"""Under ``for_user`` another person's conversations do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import NotFoundError
from digitwin.models import ConversationSession, ConversationTurn, User
from tests.integration.conversations.conftest import assert_gapless


@pytest.fixture
def his(digitwin_db: Database, bob: User) -> Sessions:
    """The repository in Bob's scope."""
    return digitwin_db.for_user(bob.id).sessions


@pytest.fixture
async def hers(sessions: Sessions, session: ConversationSession) -> ConversationTurn:
    """A turn of Ada's."""
    return await sessions.add_turn(session.id, user_text="A secret.", idempotency_key="k")


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("get", {}),
        ("end", {}),
        ("delete", {}),
        ("restore", {}),
        ("hard_delete", {}),
        ("with_turns", {}),
        ("turns", {}),
        ("update", {"metadata": {"mine": True}}),
        ("add_turn", {"user_text": "x"}),
        ("add_turn", {"user_text": "x", "idempotency_key": "k"}),
        ("add_turns", {"new_turns": [{"user_text": "x"}]}),
    ],
)
async def test_another_persons_session_is_not_found(
    sessions: Sessions, his: Sessions, hers: ConversationTurn, method: str, given: dict[str, Any]
) -> None:
    with pytest.raises(NotFoundError) as error:
        await getattr(his, method)(hers.session_id, **given)
    assert "A secret." not in str(error.value)
    await assert_gapless(sessions, hers.session_id, 1)
    assert (await sessions.get(hers.session_id)).status == "active"


async def test_another_persons_turn_is_not_amended(
    sessions: Sessions, his: Sessions, hers: ConversationTurn
) -> None:
    with pytest.raises(NotFoundError):
        await his.amend_turn(hers.id, session_id=hers.session_id, user_text="Mine.")
    [turn] = (await sessions.turns(hers.session_id)).items
    assert turn.user_text == "A secret."


async def test_naming_another_person_is_not_found(
    his: Sessions, hers: ConversationTurn, ada: User
) -> None:
    id: Any = hers.session_id
    for call in (
        his.start(ada.id),
        his.create_many([{"user_id": ada.id}]),
        his.get(id, user_id=ada.id),
        his.find(id, user_id=ada.id),
        his.list(user_id=ada.id),
        his.count(user_id=ada.id),
        his.exists(user_id=ada.id),
        his.end(id, user_id=ada.id),
        his.add_turn(id, user_id=ada.id, user_text="x"),
        his.add_turns(id, [{"user_text": "x"}], user_id=ada.id),
        his.amend_turn(hers.id, session_id=id, user_id=ada.id, user_text="x"),
        his.with_turns(id, user_id=ada.id),
        his.turns(id, user_id=ada.id),
        his.statistics(user_id=ada.id),
        his.items(session_id=id, user_id=ada.id),
        his.sources(hers.id, user_id=ada.id),
        his.add_items(id, [{"kind": "message"}], user_id=ada.id),
        his.add_usage(session_id=id, kind="llm", user_id=ada.id),
        his.usage_totals(user_id=ada.id),
    ):
        with pytest.raises(NotFoundError) as error:
            await call
        assert error.value.details["field"] == "user_id"


async def test_nothing_of_another_persons_is_listed_or_counted(
    his: Sessions, hers: ConversationTurn
) -> None:
    assert await his.find(hers.session_id) is None
    assert (await his.list()).items == []
    assert [session async for session in his.stream()] == []
    assert await his.count() == 0
    assert not await his.exists()
    assert (await his.statistics()).turns == 0


async def test_the_owner_may_be_left_out_of_every_call(
    digitwin_db: Database, ada: User, hers: ConversationTurn
) -> None:
    mine = digitwin_db.for_user(ada.id).sessions
    [session] = await mine.create_many([{"participant": Participant(kind="owner")}])
    turn = await mine.add_turn(session.id, user_text="Hi")
    await mine.add_turns(session.id, [{"user_text": "Ho"}])
    await mine.amend_turn(turn.id, session_id=session.id, twin_text="Hello.")
    assert len((await mine.with_turns(session.id)).turns) == 2
    assert len((await mine.turns(session.id)).items) == 2
    await mine.end(session.id)
    assert await mine.count() == 2
