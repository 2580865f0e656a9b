"""Nothing of the person is left, whatever somebody else is doing meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import (
    ConfigurationError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.privacy.scan import SearchTerm, scan
from digitwin.privacy.subjects import hash_of_user
from digitwin.testing import DatabaseFactory
from tests.integration.privacy.conftest import ASKED, STRINGS, Person, fill, until, visit
from tests.support.tables import PERSONAL, count_of, tables_with


async def others(db: Database, person: UUID) -> list[int]:
    return [await count_of(db, table, person) for table in PERSONAL]


async def test_every_table_is_empty_of_them_and_of_nobody_else(
    digitwin_db: Database, ada: Person, bob: Person
) -> None:
    before = await others(digitwin_db, bob.id)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    assert await tables_with(digitwin_db, ada.id) == []
    assert await others(digitwin_db, bob.id) == before
    assert receipt.subject_hash == hash_of_user(ada.id)
    assert (receipt.reason, receipt.subject) == ("asked for it", "user")
    assert receipt.completed_at is not None
    assert receipt.counts["users"] == receipt.counts["voice_models"] == 1
    assert receipt.counts["knowledge_documents"] == 2
    assert receipt.counts["conversation_turns"] == 1
    assert receipt.counts["llm_response_cache"] == 1
    assert receipt.pending_artifacts == 2


async def test_a_look_through_the_whole_database_finds_nothing(
    digitwin_db: Database, ada: Person
) -> None:
    receipt = await digitwin_db.privacy.erase(str(ada.id), reason="asked for it", verify=True)
    assert receipt.scan is not None
    assert receipt.scan.unread == ()
    assert receipt.scan.traces == ()
    terms = [SearchTerm("string", text) for text in STRINGS]
    assert await scan(digitwin_db._core.db, terms)


async def test_what_is_left_is_told(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await raw.execute("CREATE TABLE diaries (said text)")
    await raw.execute("INSERT INTO diaries VALUES ('I met ADA Augusta Lovelace today')")
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x", verify=True)
    assert receipt.scan is not None
    assert not receipt.scan
    assert [(t.table, t.column, t.what, t.rows) for t in receipt.scan.traces] == [
        ("diaries", "said", "name", 1)
    ]


async def test_what_they_said_to_others_twins_is_emptied(
    digitwin_db: Database, ada: Person
) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    session = await visit(digitwin_db, bob.id, ada.id)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x", verify=True)
    assert receipt.scan
    with_turns = await digitwin_db.sessions.with_turns(session, user_id=bob.id)
    (turn,) = with_turns.turns
    assert (turn.user_text, turn.twin_text) == ("", None)
    assert (with_turns.status, with_turns.participant_id) == ("ended", None)
    assert receipt.counts["conversation_turns"] == 2


async def test_the_receipt_can_be_read_later_and_is_in_the_trail(
    digitwin_db: Database, ada: Person
) -> None:
    receipt = await digitwin_db.privacy.erase(ada.id, reason="asked for it")
    assert await digitwin_db.privacy.receipt(receipt.id) == receipt
    assert (await digitwin_db.privacy.receipts()).items == [receipt]
    (record,) = (await digitwin_db.audit.list(action="user.erase")).items
    assert record.resource_id == str(receipt.id)
    assert record.metadata["counts"] == receipt.counts
    with pytest.raises(NotFoundError):
        await digitwin_db.privacy.receipt(uuid4())


async def test_receipts_come_in_pages(digitwin_db: Database) -> None:
    made = []
    for n in range(3):
        user = await digitwin_db.users.create(email=f"u{n}@example.com", name="U")
        made.append(await digitwin_db.privacy.erase(user.id, reason="x"))
    first = await digitwin_db.privacy.receipts(limit=2)
    rest = await digitwin_db.privacy.receipts(limit=2, after=first.next_cursor)
    assert [r.id for r in (*first.items, *rest.items)] == [r.id for r in made[::-1]]
    assert rest.next_cursor is None


async def test_who_erases_themselves_is_not_named_by_that(
    digitwin_db: Database, ada: Person
) -> None:
    with digitwin_db.acting_as(actor_id=ada.id, ip_address="192.0.2.7"):
        await digitwin_db.privacy.erase(ada.id, reason="my own wish")
    assert await tables_with(digitwin_db, ada.id) == []
    (record,) = (await digitwin_db.audit.list(action="user.erase")).items
    assert record.ip_address is None
    assert record.metadata["by_themselves"] is True


async def test_nobody_unknown_is_erased(digitwin_db: Database, ada: Person) -> None:
    with pytest.raises(NotFoundError, match="user not found"):
        await digitwin_db.privacy.erase(uuid4(), reason="x")
    assert (await digitwin_db.privacy.receipts()).items == []
    assert (await digitwin_db.users.get(ada.id)).name == STRINGS[1]


async def test_a_second_erasure_returns_the_receipt(digitwin_db: Database, ada: Person) -> None:
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x")
    again = await digitwin_db.privacy.erase(ada.id, reason="lost the answer", verify=True)
    assert again.scan
    assert replace(again, scan=None) == receipt
    assert (await digitwin_db.privacy.receipts()).items == [receipt]
    await digitwin_db.users.create(id=ada.id, email=STRINGS[0], name="Ada again")
    newer = await digitwin_db.privacy.erase(ada.id, reason="once more")
    assert newer.id != receipt.id
    assert await digitwin_db.privacy.erase(ada.id, reason="x") == newer


async def test_bad_input_is_refused(digitwin_db: Database, ada: Person) -> None:
    with pytest.raises(InvalidInputError, match="user_id"):
        await digitwin_db.privacy.erase("ada", reason="x")
    for reason in ("", "x" * 501, "two\nlines"):
        with pytest.raises(InvalidInputError, match="reason"):
            await digitwin_db.privacy.erase(ada.id, reason=reason)
    with pytest.raises(InvalidStateError, match="outside a transaction"):
        async with digitwin_db.transaction():
            await digitwin_db.privacy.erase(ada.id, reason="x")
    assert await digitwin_db.users.exists()


@pytest.mark.parametrize("how", ["delete", "hard_delete"])
async def test_somebody_deleted_before_is_erased_all_the_same(
    digitwin_db: Database, ada: Person, how: str
) -> None:
    await getattr(digitwin_db.users, how)(ada.id)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x", verify=how == "delete")
    assert await tables_with(digitwin_db, ada.id) == []
    if how == "delete":
        assert receipt.scan


async def test_their_key_is_gone_for_good(digitwin_db: Database, ada: Person) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    assert await digitwin_db.keys.destroy(ada.id) is False


class Refusing:
    """A ledger that cannot be written."""

    async def append(self, entry: Any) -> None:
        raise ConfigurationError("no room", field="erasure_ledger")

    async def entries(self) -> Any:
        return
        yield


async def test_without_its_line_in_the_ledger_nothing_has_happened(
    digitwin_db: Database, digitwin_url: str, ada: Person
) -> None:
    before = await others(digitwin_db, ada.id)
    async with digitwin.connect(digitwin_url, ledger=Refusing(), migrate="skip") as db:
        with pytest.raises(ConfigurationError, match="no room"):
            await db.privacy.erase(ada.id, reason="x")
    assert await others(digitwin_db, ada.id) == before
    assert (await digitwin_db.voices.get(ada.voice)).artifact_uri == STRINGS[2]
    (begun,) = (await digitwin_db.privacy.receipts()).items
    assert begun.completed_at is None


async def test_broken_off_after_the_key_was_destroyed_it_can_be_completed(
    digitwin_db: Database, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*args: object, **kwargs: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(digitwin_db.cache, "forget_user", crash)
    with pytest.raises(asyncio.CancelledError):
        await digitwin_db.privacy.erase(ada.id, reason="first")
    monkeypatch.undo()
    assert (await digitwin_db.users.get(ada.id)).name == STRINGS[1]
    deleted: list[str] = []
    digitwin_db.privacy.artifacts.deleter = lambda artifact: _note(deleted, artifact.address)
    assert await digitwin_db.privacy.deliver() == 0  # nothing is due yet
    receipt = await digitwin_db.privacy.erase(ada.id, reason="second")
    assert [one.id for one in (await digitwin_db.privacy.receipts()).items] == [receipt.id]
    assert await tables_with(digitwin_db, ada.id) == []
    await until(lambda: _none_waits(digitwin_db, receipt.id))
    assert sorted(deleted) == sorted(STRINGS[2:4])


async def _none_waits(db: Database, erasure: UUID) -> bool:
    return (await db.privacy.receipt(erasure)).pending_artifacts == 0


async def _note(seen: list[str], address: str) -> None:
    seen.append(address)


@pytest.mark.parametrize("known_to", ["all", "the trail"])
async def test_two_who_erase_the_same_person_do_it_once(
    digitwin_db: Database, ada: Person, known_to: str
) -> None:
    if known_to == "the trail":
        await digitwin_db.users.hard_delete(ada.id)
    ends = await asyncio.gather(*(digitwin_db.privacy.erase(ada.id, reason="x") for _ in range(4)))
    (receipt,) = (await digitwin_db.privacy.receipts()).items
    assert ends == [receipt] * 4


async def test_whoever_adds_something_meanwhile_leaves_nothing(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    """Turns, documents, voices, cached values and decisions, by two instances, without a pause."""
    one = await digitwin_db_factory(pool_max=8, flush_interval=0.05)
    two = await digitwin_db_factory(one._target.url, pool_max=8, flush_interval=0.05)
    for round in range(6):
        ada = await fill(one, f"ada{round}@example.com")
        stop = asyncio.Event()
        writers = [
            asyncio.create_task(_keep_on(stop, db, ada, kind))
            for db in (one, two)
            for kind in ("turn", "document", "voice", "cache", "make", "session", "limit")
        ]
        await asyncio.sleep(0.01 * round)
        await one.privacy.erase(ada.id, reason="x")
        await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*writers)
        for db in (one, two):
            await db.limits.usage()
            assert await db.cache.responses.get("late", user_id=ada.id) is None
        assert set(await tables_with(one, ada.id)) <= {"rate_limits", "rate_limit_usage"}
        await one.privacy.sweep()
        assert await tables_with(one, ada.id) == []


async def _keep_on(stop: asyncio.Event, db: Database, ada: Person, kind: str) -> None:
    while not stop.is_set():
        try:
            await _add(db, ada, kind)
        except DigiTwinError as error:
            if not (isinstance(error, NotFoundError | InvalidStateError) or error.retryable):
                raise
        await asyncio.sleep(0)


async def _add(db: Database, ada: Person, kind: str) -> None:
    if kind == "turn":
        await db.sessions.add_turn(ada.session, user_text="Late " + ASKED)
    elif kind == "document":
        await db.documents.create(user_id=ada.id, title="Late", content=ASKED)
    elif kind == "voice":
        await db.voices.create(user_id=ada.id, name="Late", artifact_uri="s3://late")
    elif kind == "session":
        await db.sessions.start(ada.id, participant=digitwin.Participant("guest", "late"))
    elif kind == "cache":
        await db.cache.responses.set("late", ASKED, user_id=ada.id)
    elif kind == "make":
        await db.cache.searches.get_or_create("late", _made, user_id=ada.id)
    else:
        await db.limits.consume(ada.id, "/talk", limit=10**6, window=60)


async def _made() -> str:
    return ASKED


async def test_no_instance_answers_from_memory_any_more(
    digitwin_db_factory: DatabaseFactory,
) -> None:
    one = await digitwin_db_factory()
    two = await digitwin_db_factory(one._target.url)
    ada = await fill(one)
    for db in (one, two):
        for _ in range(3):
            await db.cache.responses.get("orchard", user_id=ada.id, audience="visitor")
    await one.privacy.erase(ada.id, reason="x")
    assert await one.cache.responses.get("orchard", user_id=ada.id, audience="visitor") is None
    await until(lambda: _forgotten(two, ada.id))


async def _forgotten(db: Database, person: UUID) -> bool:
    return await db.cache.responses.get("orchard", user_id=person, audience="visitor") is None


async def test_what_another_instance_has_counted_is_not_written_any_more(
    digitwin_db: Database, digitwin_url: str, ada: Person
) -> None:
    async with digitwin.connect(digitwin_url, migrate="skip", flush_interval=3600) as other:
        await other.limits.consume(ada.id, "/talk", limit=9, window=60)
        await digitwin_db.privacy.erase(ada.id, reason="x")
        await other.limits.usage()
        assert await tables_with(digitwin_db, ada.id) == []


async def test_a_decision_after_the_erasure_leaves_a_row_until_maintenance(
    digitwin_db: Database, ada: Person
) -> None:
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await digitwin_db.limits.consume(ada.id, "/talk", limit=9, window=60)
    assert await tables_with(digitwin_db, ada.id) == ["rate_limits"]
    assert (await digitwin_db.maintain()).late_writes == 1
    assert await tables_with(digitwin_db, ada.id) == []


async def test_tokens_on_lease_and_counts_in_memory_go_too(
    digitwin_db: Database, ada: Person
) -> None:
    await digitwin_db.limits.consume(ada.id, "/fast", limit=1000, window=60, lease=50)
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await digitwin_db.limits.usage()
    assert await tables_with(digitwin_db, ada.id) == []
