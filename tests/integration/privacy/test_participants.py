"""Somebody is taken out of every twin they talked to, and the owners keep what is theirs."""

from __future__ import annotations

import asyncio
from functools import partial

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import InvalidStateError, NotFoundError
from digitwin.privacy.scan import SearchTerm, scan
from tests.integration.privacy.conftest import HEARD, SAID, TAUGHT, Person
from tests.support.waiting import UntilWaiting

SAM = Participant("guest", "web-81f3", "Sam Sommerfield", ["asks about orchards"])


async def test_they_are_gone_across_owners(digitwin_db: Database, ada: Person, bob: Person) -> None:
    await digitwin_db.sessions.start(ada.id, participant=SAM)
    await digitwin_db.cache.responses.set(f"{SAID}?", HEARD, user_id=ada.id)
    await digitwin_db.limits.consume("web-81f3", "/talk", limit=5, window=60)
    receipt = await digitwin_db.privacy.erase_participant(
        kind="guest", ref="web-81f3", reason="asked for it"
    )
    words = ("web-81f3", "Sam Sommerfield", "asks about orchards", SAID, HEARD)
    assert (
        await scan(digitwin_db._core.db, [SearchTerm("said", word) for word in words])
    ).traces == ()
    assert receipt.subject == "participant"
    assert receipt.counts["participants"] == 2
    assert receipt.counts["conversation_turns"] == 2
    assert receipt.counts["rate_limits"] == 1
    (record,) = (await digitwin_db.audit.list(action="participant.erase")).items
    assert record.resource_id == str(receipt.id)


async def test_owners_keep_what_is_theirs(digitwin_db: Database, ada: Person, bob: Person) -> None:
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    for owner in (ada, bob):
        session = await digitwin_db.sessions.with_turns(owner.session, user_id=owner.id)
        (turn,) = session.turns
        assert (turn.user_text, turn.twin_text, turn.heard_text) == ("", None, None)
        assert turn.timings == {"asr_ms": 80}
        assert (session.status, session.end_reason) == ("ended", "participant_erased")
        assert (session.participant_id, session.turn_count) == (None, 1)
        assert session.voice_model_id == owner.voice
    assert await digitwin_db.documents.count(content_type="text/plain") == 2
    assert TAUGHT in [d.content async for d in digitwin_db.documents.stream(user_id=ada.id)]


async def test_answers_may_be_kept(digitwin_db: Database, ada: Person) -> None:
    await digitwin_db.privacy.erase_participant(
        kind="guest", ref="web-81f3", reason="x", keep_answers=True
    )
    (turn,) = (await digitwin_db.sessions.with_turns(ada.session)).turns
    assert (turn.user_text, turn.twin_text) == ("", HEARD)


async def test_only_this_kind_and_ref(digitwin_db: Database, ada: Person) -> None:
    for kind, ref in (("phone", "web-81f3"), ("guest", "web-81f")):
        with pytest.raises(NotFoundError, match="participant not found"):
            await digitwin_db.privacy.erase_participant(kind=kind, ref=ref, reason="x")  # type: ignore[arg-type]
    assert (await digitwin_db.privacy.receipts()).items == []
    (turn,) = (await digitwin_db.sessions.with_turns(ada.session)).turns
    assert turn.user_text == SAID


async def test_nothing_is_added_after(digitwin_db: Database, ada: Person) -> None:
    (turn,) = (await digitwin_db.sessions.with_turns(ada.session)).turns
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    with pytest.raises(InvalidStateError):
        await digitwin_db.sessions.add_turn(ada.session, user_text="And another thing")
    with pytest.raises(NotFoundError):
        await digitwin_db.sessions.amend_turn(turn.id, session_id=ada.session, user_text=SAID)


async def test_a_correction_that_was_waiting_brings_nothing_back(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """It waits for the emptied row, and must then look at it again."""
    (turn,) = (await digitwin_db.sessions.with_turns(ada.session)).turns
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
    erasing = asyncio.create_task(
        digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    )
    await until_waiting()
    amending = asyncio.create_task(
        digitwin_db.sessions.amend_turn(turn.id, session_id=ada.session, user_text=SAID)
    )
    await until_waiting(2)
    await transaction.rollback()
    await erasing
    with pytest.raises(NotFoundError):
        await amending
    (turn,) = (await digitwin_db.sessions.with_turns(ada.session)).turns
    assert turn.user_text == ""


async def test_a_turn_that_was_waiting_is_not_added(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
    erasing = asyncio.create_task(
        digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    )
    await until_waiting()
    adding = asyncio.create_task(digitwin_db.sessions.add_turn(ada.session, user_text="Wait"))
    await until_waiting(2)
    await transaction.rollback()
    await erasing
    with pytest.raises(InvalidStateError):
        await adding


async def test_they_may_come_back_as_somebody_new(digitwin_db: Database, ada: Person) -> None:
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    session = await digitwin_db.sessions.start(ada.id, participant=Participant("guest", "web-81f3"))
    await digitwin_db.sessions.add_turn(session.id, user_text="Here I am again")
    await digitwin_db.privacy.erase_participant(kind="guest", ref="web-81f3", reason="x")
    assert len((await digitwin_db.privacy.receipts()).items) == 2


async def test_a_second_erasure_returns_the_receipt(digitwin_db: Database, ada: Person) -> None:
    erase = partial(digitwin_db.privacy.erase_participant, kind="guest", ref="web-81f3", reason="x")
    receipt = await erase()
    assert await erase() == receipt
    assert (await digitwin_db.privacy.receipts()).items == [receipt]
