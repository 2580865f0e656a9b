"""An id is one id, however a caller spells it, and however it was stored before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin import Participant
from digitwin.database import Database
from digitwin.kernel.primitives.ids import one_spelling, uuid7
from digitwin.models import SessionParticipant
from digitwin.privacy.subjects import hash_of_ref
from tests.integration.privacy.conftest import Person, read
from tests.support.tables import tables_with

SPELLINGS: dict[str, Callable[[UUID], str]] = {
    "canonical": str,
    "capitals": lambda id: str(id).upper(),
    "hex": lambda id: id.hex,
    "hex in capitals": lambda id: id.hex.upper(),
    "braces": lambda id: f"{{{id}}}",
    "braces in capitals": lambda id: f"{{{str(id).upper()}}}",
    "hex in braces": lambda id: f"{{{id.hex}}}",
    "urn": lambda id: id.urn,
    "urn in capitals": lambda id: id.urn.upper(),
}

every_spelling = pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)


@every_spelling
async def test_a_participant_is_one_however_spelled(
    digitwin_db: Database, bob: Person, spelled: Callable[[UUID], str]
) -> None:
    visitor = uuid7()
    participant = Participant("user", spelled(visitor))
    assert participant.ref == str(visitor)
    first = await digitwin_db.sessions.start(bob.id, participant=Participant("user", str(visitor)))
    scope = digitwin_db.for_user(bob.id)
    again = await scope.sessions.start(participant=participant)
    assert again.participant_id == first.participant_id


@every_spelling
async def test_models_store_and_find_one_spelling(
    digitwin_db: Database, bob: Person, spelled: Callable[[UUID], str]
) -> None:
    visitor, ref = uuid7(), spelled(uuid7())
    sam = await SessionParticipant.create(user_id=bob.id, kind="user", ref=spelled(visitor))
    session = await digitwin_db.sessions.start(
        bob.id, participant=Participant("user", str(visitor))
    )
    assert session.participant_id == sam.id
    assert await SessionParticipant.filter(ref=spelled(visitor)).count() == 1
    sam.ref = ref
    await sam.save()
    assert (await SessionParticipant.get(id=sam.id)).ref == one_spelling(ref)
    await SessionParticipant.filter(id=sam.id).update(ref=spelled(visitor))
    assert (await SessionParticipant.get(id=sam.id)).ref == str(visitor)


@every_spelling
@pytest.mark.parametrize("prefix", ["", "user:", "tenant:7/user:"])
async def test_a_subject_has_one_bucket_however_spelled(
    digitwin_db: Database, prefix: str, spelled: Callable[[UUID], str]
) -> None:
    person, limits = uuid7(), digitwin_db.limits
    assert await limits.consume(f"{prefix}{person}", "/talk", limit=1, window=3600)
    subject = f"{prefix}{spelled(person)}"
    assert not await limits.consume(subject, "/talk", limit=1, window=3600)
    assert not await limits.peek(subject, "/talk", limit=1, window=3600)
    assert sum(hour.denied for hour in await limits.usage(subject)) == 1
    assert await limits.reset(subject) == 1


async def stored(raw: asyncpg.Connection, owner: UUID, name: str) -> None:
    """What an earlier release kept as its callers spelled it."""
    await raw.execute(
        "INSERT INTO participants (user_id, id, kind, ref) VALUES ($1, $2, 'user', $3)",
        *(owner, uuid7(), name),
    )
    await raw.execute(
        "INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)"
        " VALUES ($1, '/talk', 1000, 1, 1)",
        name,
    )
    await raw.execute(
        "INSERT INTO rate_limit_usage (subject, endpoint, bucket) VALUES ($1, '/talk', now())", name
    )
    await raw.execute(
        "INSERT INTO audit_logs (id, action, resource, resource_id)"
        " VALUES ($1, 'call', 'user', $2)",
        *(uuid7(), name),
    )


async def left(raw: asyncpg.Connection, name: str) -> list[int]:
    sql = (
        "SELECT (SELECT count(*) FROM participants WHERE ref = $1),"
        " (SELECT count(*) FROM rate_limits WHERE subject = $1),"
        " (SELECT count(*) FROM rate_limit_usage WHERE subject = $1),"
        " (SELECT count(*) FROM audit_logs WHERE resource_id = $1)"
    )
    return list(await raw.fetchrow(sql, name))


async def test_an_erasure_finds_every_spelling(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    bob = await digitwin_db.users.create(email="bob@example.com", name="Bob")
    names = [
        f"{prefix}{spelled(ada.id)}" for prefix in ("", "user:") for spelled in SPELLINGS.values()
    ]
    for name in names:
        await raw.execute("DELETE FROM rate_limits WHERE subject = $1", name)
        await raw.execute("DELETE FROM rate_limit_usage WHERE subject = $1", name)
        await stored(raw, bob.id, name)
    others = f"user:{uuid7()}"
    await stored(raw, bob.id, others)
    archive = await read(digitwin_db.privacy.export(ada.id))
    subjects = {row["subject"] for row in archive.rows("data/rate_limits.ndjson")}
    assert subjects == set(names)
    receipt = await digitwin_db.privacy.erase(ada.id, reason="x", verify=True)
    assert receipt.scan, receipt.scan
    assert await tables_with(digitwin_db, ada.id) == []
    assert [await left(raw, name) for name in names] == [[0, 0, 0, 0]] * len(names)
    assert await left(raw, others) == [1, 1, 1, 1]


@every_spelling
async def test_a_participant_is_erased_by_any_spelling_of_any_spelling(
    digitwin_db: Database, bob: Person, raw: asyncpg.Connection, spelled: Callable[[UUID], str]
) -> None:
    visitor = uuid7()
    for name in {each(visitor) for each in SPELLINGS.values()}:
        await stored(raw, bob.id, name)
    archive = await read(digitwin_db.privacy.export_participant(kind="user", ref=spelled(visitor)))
    assert len(archive.rows("data/participants.ndjson")) == len(SPELLINGS)
    receipt = await digitwin_db.privacy.erase_participant(
        kind="user", ref=spelled(visitor), reason="x"
    )
    assert receipt.counts["participants"] == receipt.counts["rate_limits"] == len(SPELLINGS)
    again = await digitwin_db.privacy.erase_participant(kind="user", ref=str(visitor), reason="x")
    assert again == receipt


async def test_what_is_counted_late_goes_with_the_next_maintenance(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    """Also under a name of which an erasure does not know how it begins."""
    await digitwin_db.privacy.erase(ada.id, reason="x")
    for name in (f"tenant:7/user:{ada.id.hex.upper()}", f"user:{str(ada.id).upper()}"):
        await raw.execute(
            "INSERT INTO rate_limits (subject, endpoint, window_ms, max_tokens, tokens)"
            " VALUES ($1, '/talk', 1000, 1, 1)",
            name,
        )
    await digitwin_db.limits.consume(f"user:{ada.id}", "/talk", limit=1, window=3600)
    await digitwin_db.limits.usage()
    assert (await digitwin_db.maintain()).late_writes == 3
    sql = "SELECT (SELECT count(*) FROM rate_limits) + (SELECT count(*) FROM rate_limit_usage)"
    assert await raw.fetchval(sql) == 0


async def test_tokens_on_lease_under_such_a_name_are_dropped(
    digitwin_db: Database, ada: Person
) -> None:
    for subject in (ada.id, f"user:{ada.id.hex}"):
        await digitwin_db.limits.consume(subject, "/fast", limit=1000, window=60, lease=50)
    await digitwin_db.privacy.erase(ada.id, reason="x")
    await digitwin_db.limits._leases.stop()
    assert await tables_with(digitwin_db, ada.id) == []


@every_spelling
async def test_a_record_names_a_thing_in_one_spelling(
    digitwin_db: Database, ada: Person, spelled: Callable[[UUID], str]
) -> None:
    await digitwin_db.audit.record("call", "user", resource_id=spelled(ada.id))
    (record,) = (await digitwin_db.audit.list(action="call", resource_id=spelled(ada.id))).items
    assert record.resource_id == str(ada.id)


async def test_a_replay_knows_an_erasure_by_the_spelling_of_its_time(
    digitwin_db: Database, bob: Person, raw: asyncpg.Connection
) -> None:
    ref = str(uuid7()).upper()
    await stored(raw, bob.id, ref)
    await raw.execute(
        "INSERT INTO erasures (id, subject, subject_hash, reason, completed_at, counts)"
        " VALUES ($1, 'participant', $2, 'x', now() + interval '1 minute', '{}')",
        *(uuid7(), hash_of_ref("user", ref, None)),
    )
    assert (await digitwin_db.privacy.replay()).participants == 1
    assert (await left(raw, ref))[0] == 0


def test_what_is_no_id_is_left_alone() -> None:
    id = uuid7()
    for ref in ("web-81f3", "+49 30 1234", f"{id}x", f"{{{id}", f"{id}}}", f"x{id}", f"user-{id}"):
        assert Participant("guest", ref).ref == ref
    for ref in (None, f"user:{id}"):
        kept: Any = Participant("guest", ref)
        assert kept.ref == ref
