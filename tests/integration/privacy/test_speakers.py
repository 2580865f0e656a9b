"""Two people speak in one session: each is exported and erased for themselves.

What is inside a session goes with the turn that it belongs to, or with the session's participant.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.errors import ConsentRequiredError, InvalidStateError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.privacy.scan import SearchTerm, scan
from tests.integration.privacy.conftest import read
from tests.support.waiting import UntilWaiting

SAM, TOM = Participant("guest", "web-sam", "Sam"), Participant("guest", "web-tom", "Tom")
ITEM = (
    "INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, payload)"
    " SELECT user_id, id, $3, $4, $2, 'tool_call', jsonb_build_object('query', $5::text)"
    " FROM conversation_sessions WHERE id = $1"
)


class Talk(NamedTuple):
    """Sam's session with Ada's twin, in which Tom spoke second."""

    owner: UUID
    id: UUID
    sam: UUID
    tom: UUID


@pytest.fixture
async def talk(digitwin_db: Database, raw: asyncpg.Connection) -> Talk:
    db = digitwin_db
    ada = await db.users.create(email="ada@example.com", name="Ada")
    await db.consents.grant(ada.id, purpose="recording", evidence="said so")
    session = await db.sessions.start(ada.id, participant=SAM, metadata={"note": "Sam"})
    toms = await db.sessions.start(ada.id, participant=TOM)
    turns = [
        await db.sessions.add_turn(session.id, user_text=f"{who} speaks", twin_text=f"Hello {who}")
        for who in ("Sam", "Tom")
    ]
    await raw.execute(
        "UPDATE conversation_turns SET language = 'de', extra = '{\"mood\": \"glad\"}',"
        " participant_id = CASE WHEN id = $1 THEN $2::uuid END WHERE session_id = $3",
        *(turns[1].id, toms.participant_id, session.id),
    )
    for n, (turn, who) in enumerate(((turns[0], "Sam"), (turns[1], "Tom"), (None, "Sam")), 1):
        of = None if turn is None else turn.id
        await raw.execute(ITEM, session.id, of, n, uuid7(), f"{who} asked")
        kind: Any = "file" if n < 3 else "image"
        await db.sessions.add_artifact(
            session.id, kind=kind, artifact_uri=f"s3://{who}/{n}", turn_id=of
        )
    await db.sessions.add_artifact(session.id, kind="recording", artifact_uri="s3://both")
    await db.sessions.add_artifact(
        session.id, kind="recording", artifact_uri="s3://Sam/4", turn_id=turns[0].id
    )
    return Talk(ada.id, session.id, turns[0].id, turns[1].id)


async def erase(db: Database, who: Participant, **how: Any) -> ErasureReceipt:
    return await db.privacy.erase_participant(kind=who.kind, ref=who.ref, reason="x", **how)


async def addresses(db: Database) -> list[str]:
    """What the hook is asked to delete."""
    asked: list[str] = []

    async def hook(artifact: Any) -> None:
        asked.append(artifact.address)

    db.privacy.artifacts.deleter = hook
    await db.privacy.deliver()
    return sorted(asked)


async def held(db: Database, talk: Talk) -> dict[str, set[str]]:
    """Who is left, in texts, items and artifacts."""
    session = await db.sessions.with_turns(talk.id)
    items = await db._core.db.fetch("SELECT payload->>'query' AS q FROM turn_items")
    kept = (await db.sessions.artifacts(talk.id)).items
    return {
        "said": {turn.user_text for turn in session.turns if turn.user_text},
        "items": {row["q"] for row in items},
        "artifacts": {str(row.artifact_uri) for row in kept},
    }


async def test_the_second_speaker_takes_their_own_along(digitwin_db: Database, talk: Talk) -> None:
    receipt = await erase(digitwin_db, TOM)
    assert await held(digitwin_db, talk) == {
        "said": {"Sam speaks"},
        "items": {"Sam asked"},
        "artifacts": {"s3://Sam/1", "s3://Sam/3", "s3://Sam/4"},
    }
    assert await addresses(digitwin_db) == ["s3://Tom/2", "s3://both"]
    assert {name: count for name, count in receipt.counts.items() if count} == {
        "participants": 1,
        "conversation_sessions": 1,  # the one that was his own
        "conversation_turns": 1,
        "turn_items": 1,
        "session_artifacts": 2,
    }
    assert receipt.pending_artifacts == 2
    session = await digitwin_db.sessions.with_turns(talk.id)
    assert (session.status, session.metadata) == ("active", {"note": "Sam"})
    first, second = session.turns
    assert (first.language, first.extra) == ("de", {"mood": "glad"})
    assert (second.user_text, second.twin_text, second.language, second.extra) == (
        *("", None),
        *(None, None),
    )
    assert second.participant_id is None
    await digitwin_db.sessions.add_turn(talk.id, user_text="Sam goes on")


async def test_the_first_leaves_the_seconds(digitwin_db: Database, talk: Talk) -> None:
    await erase(digitwin_db, SAM)
    assert await held(digitwin_db, talk) == {
        "said": {"Tom speaks"},
        "items": {"Tom asked"},
        "artifacts": {"s3://Tom/2"},
    }
    assert await addresses(digitwin_db) == ["s3://Sam/1", "s3://Sam/3", "s3://Sam/4", "s3://both"]
    session = await digitwin_db.sessions.get(talk.id)
    assert (session.status, session.end_reason) == ("ended", "participant_erased")
    assert (session.metadata, session.participant_id) == ({}, None)


async def test_both_leave_nothing(digitwin_db: Database, talk: Talk) -> None:
    for who in (TOM, SAM):
        await erase(digitwin_db, who)
    assert not any((await held(digitwin_db, talk)).values())
    terms = [SearchTerm("name", who, is_word=True) for who in ("Sam", "Tom", "glad")]
    assert (await scan(digitwin_db._core.db, terms)).traces == ()


async def test_answers_may_be_kept(digitwin_db: Database, talk: Talk) -> None:
    await erase(digitwin_db, TOM, keep_answers=True)
    turns = (await digitwin_db.sessions.with_turns(talk.id)).turns
    assert [turn.twin_text for turn in turns] == ["Hello Sam", "Hello Tom"]
    assert (await held(digitwin_db, talk))["items"] == {"Sam asked"}


async def test_usage_and_sources_stay_with_the_owner(
    digitwin_db: Database, talk: Talk, raw: asyncpg.Connection
) -> None:
    for table, columns, values in (
        ("usage_records", "kind, output_tokens", "'llm', 7"),
        ("turn_sources", "quote", "'From nine'"),
    ):
        await raw.execute(
            f"INSERT INTO {table} (user_id, session_id, turn_id, id, {columns})"
            f" SELECT user_id, session_id, id, $1, {values} FROM conversation_turns WHERE id = $2",
            *(uuid7(), talk.sam),
        )
    await erase(digitwin_db, SAM)
    assert await raw.fetchval("SELECT output_tokens FROM usage_records") == 7
    assert await raw.fetchval("SELECT quote FROM turn_sources") == "From nine"


async def test_an_open_turn_is_closed_at_its_last_sign_of_life(
    digitwin_db: Database, talk: Talk, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "UPDATE conversation_turns SET status = 'open', ended_at = NULL WHERE id = $1", talk.sam
    )
    sign = await raw.fetchval("SELECT updated_at FROM conversation_turns WHERE id = $1", talk.sam)
    await erase(digitwin_db, SAM)
    turn = (await digitwin_db.sessions.with_turns(talk.id)).turns[0]
    assert (turn.status, turn.ended_at) == ("abandoned", sign)


async def test_each_gets_an_export_of_their_own(digitwin_db: Database, talk: Talk) -> None:
    found = {}
    for who in (SAM, TOM):
        archive = await read(digitwin_db.privacy.export_participant(kind="guest", ref=who.ref))
        found[who.name] = (
            {row["user_text"] for row in archive.rows("data/conversation_turns.ndjson")},
            {row["payload"]["query"] for row in archive.rows("data/turn_items.ndjson")},
            len(archive.rows("data/session_artifacts.ndjson")),
            len(archive.rows("data/conversation_sessions.ndjson")),
        )
        assert "s3://" not in archive.text("data/session_artifacts.ndjson")
    assert found == {
        "Sam": ({"Sam speaks"}, {"Sam asked"}, 4, 1),
        "Tom": ({"Tom speaks"}, {"Tom asked"}, 2, 1),
    }


async def test_the_owners_export_names_addresses(digitwin_db: Database, talk: Talk) -> None:
    archive = await read(digitwin_db.privacy.export(talk.owner))
    rows = archive.rows("data/session_artifacts.ndjson")
    assert "s3://both" in {row["artifact_uri"] for row in rows}
    assert "s3://both" in archive.text("index.html")


async def test_a_late_upload_brings_no_voice_back(digitwin_db: Database, talk: Talk) -> None:
    add = digitwin_db.sessions.add_artifact
    await erase(digitwin_db, TOM)
    for given in (
        {"kind": "recording"},
        {"kind": "video"},
    ):
        with pytest.raises(InvalidStateError, match="was erased"):
            await add(talk.id, artifact_uri="s3://late", **given)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="turn not found"):
        await add(talk.id, artifact_uri="s3://late", kind="file", turn_id=talk.tom)
    await add(talk.id, artifact_uri="s3://late", kind="recording", turn_id=talk.sam)
    await add(talk.id, artifact_uri="s3://late", kind="file")
    await erase(digitwin_db, SAM)
    with pytest.raises(InvalidStateError, match="was erased"):
        await add(talk.id, artifact_uri="s3://late", kind="file")
    assert (await digitwin_db.sessions.artifacts(talk.id)).items == []


@pytest.mark.parametrize("who", [SAM, TOM], ids=["first", "second"])
async def test_an_upload_that_waits_for_the_erasure_is_refused(
    digitwin_db: Database,
    talk: Talk,
    raw: asyncpg.Connection,
    until_waiting: UntilWaiting,
    who: Participant,
) -> None:
    async with raw.transaction():
        await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
        erasing = asyncio.create_task(erase(digitwin_db, who))
        await until_waiting()
        adding = asyncio.create_task(
            digitwin_db.sessions.add_artifact(talk.id, kind="recording", artifact_uri="s3://late")
        )
        await until_waiting(2)
    await erasing
    with pytest.raises(InvalidStateError, match="was erased"):
        await adding
    assert "s3://late" not in await addresses(digitwin_db)


@pytest.mark.parametrize("who", [SAM, TOM], ids=["first", "second"])
async def test_an_upload_before_the_erasure_goes_with_it(
    digitwin_db: Database, talk: Talk, until_waiting: UntilWaiting, who: Participant
) -> None:
    begun = asyncio.Event()

    async def erase_then() -> None:
        await begun.wait()
        await erase(digitwin_db, who)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(erase_then())
        async with digitwin_db.transaction():
            await digitwin_db.sessions.add_artifact(
                talk.id, kind="recording", artifact_uri="s3://early"
            )
            begun.set()
            await until_waiting()
    assert "s3://early" in await addresses(digitwin_db)
    assert "s3://early" not in (await held(digitwin_db, talk))["artifacts"]


async def test_a_turn_of_theirs_that_is_being_stored_is_redacted(
    digitwin_db: Database, talk: Talk, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """In a session that knew nothing of them when the erasure began."""
    other = await digitwin_db.sessions.start(talk.owner, participant=SAM)
    async with raw.transaction():
        await raw.execute(
            "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text,"
            " participant_id) SELECT user_id, $1, 1, $2, 'Tom was here', participant_id"
            " FROM conversation_turns WHERE id = $3",
            *(other.id, uuid7(), talk.tom),
        )
        erasing = asyncio.create_task(erase(digitwin_db, TOM))
        await until_waiting()
    await erasing
    (turn,) = (await digitwin_db.sessions.with_turns(other.id)).turns
    assert (turn.user_text, turn.participant_id) == ("", None)


async def test_a_turn_that_refers_to_the_erased_is_refused(
    digitwin_db: Database, talk: Talk, raw: asyncpg.Connection, until_waiting: UntilWaiting
) -> None:
    """A writer holds the session and waits for the participant, whom the erasure holds."""
    toms = await raw.fetchval(
        "SELECT participant_id FROM conversation_turns WHERE id = $1", talk.tom
    )
    other = await digitwin_db.sessions.start(talk.owner, participant=SAM)
    async with raw.transaction():
        await raw.execute("SELECT FROM conversation_turns FOR UPDATE")
        erasing = asyncio.create_task(erase(digitwin_db, TOM))
        await until_waiting()
        writing = asyncio.create_task(
            digitwin_db._core.db.execute(
                "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text,"
                " participant_id) VALUES ($1, $2, 1, $3, 'Tom', $4)",
                *(talk.owner, other.id, uuid7(), toms),
            )
        )
        await until_waiting(2)
    await erasing
    with pytest.raises(NotFoundError):
        await writing
    assert list((await digitwin_db.sessions.with_turns(other.id)).turns) == []


async def test_erasures_of_both_at_once_end(digitwin_db: Database, talk: Talk) -> None:
    await asyncio.gather(erase(digitwin_db, SAM), erase(digitwin_db, TOM))
    assert not any((await held(digitwin_db, talk)).values())
    assert len(await addresses(digitwin_db)) == 5


async def test_the_owners_erasure_queues_every_object(digitwin_db: Database, talk: Talk) -> None:
    receipt = await digitwin_db.privacy.erase(talk.owner, reason="x", verify=True)
    assert receipt.scan
    assert receipt.counts["session_artifacts"] == 5
    assert receipt.counts["turn_items"] == 3
    assert len(await addresses(digitwin_db)) == 5


async def test_a_withdrawal_keeps_what_is_there(digitwin_db: Database, talk: Talk) -> None:
    await digitwin_db.consents.withdraw(talk.owner, purpose="recording")
    assert "s3://both" in (await held(digitwin_db, talk))["artifacts"]
    with pytest.raises(ConsentRequiredError):
        await digitwin_db.sessions.add_artifact(talk.id, kind="video", artifact_uri="s3://new")
