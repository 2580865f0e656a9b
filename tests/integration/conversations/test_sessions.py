"""Sessions are found, listed, counted and changed."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from digitwin import Participant
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User


async def test_many_begin_in_the_order_given(sessions: Sessions, ada: User, bob: User) -> None:
    rows: list[Any] = [
        {
            "user_id": (ada, bob)[n % 2].id,
            "external_id": f"chat-{n}",
            "participant": Participant(kind="guest", ref=f"web-{n % 3}") if n % 4 else None,
            "metadata": {"n": n},
        }
        for n in range(24)
    ]
    started = await sessions.create_many(rows)
    assert [(s.user_id, s.external_id, s.metadata) for s in started] == [
        (row["user_id"], row["external_id"], row["metadata"]) for row in rows
    ]
    assert [s.id for s in (await sessions.list()).items] == [s.id for s in started]


async def test_many_begin_all_or_none(
    raw: asyncpg.Connection, sessions: Sessions, ada: User
) -> None:
    row: Any = {"user_id": ada.id, "participant": Participant(kind="guest", ref="web-1")}
    with pytest.raises(NotFoundError) as error:
        await sessions.create_many([row, {**row, "user_id": uuid7()}])
    assert error.value.details["field"] == "user_id"
    with pytest.raises(AlreadyExistsError):
        await sessions.create_many([{**row, "external_id": "x"}, {**row, "external_id": "x"}])
    with pytest.raises(AlreadyExistsError, match="given twice") as twice:
        await sessions.create_many([{**row, "id": ada.id}, {**row, "id": str(ada.id)}])
    assert twice.value.details == {"field": "id"}  # no session has it
    assert await sessions.count() == 0
    assert await raw.fetchval("SELECT count(*) FROM participants") == 0


async def test_no_rows_are_no_work(sessions: Sessions) -> None:
    assert await sessions.create_many([]) == []


@pytest.mark.parametrize("rows", [5, [5], [None]])
async def test_rows_are_dicts_of_fields(sessions: Sessions, rows: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.create_many(rows)
    assert error.value.details["field"] == "rows"


async def test_too_many_rows_are_refused_with_the_limit(sessions: Sessions, ada: User) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.create_many([{"user_id": ada.id}] * 10_001)
    assert error.value.details["limit"] == 10_000


async def test_what_is_missing_is_not_found_and_find_gives_none(sessions: Sessions) -> None:
    with pytest.raises(NotFoundError):
        await sessions.get(uuid7())
    assert await sessions.find(uuid7()) is None


async def test_get_takes_the_owner_where_it_is_known(
    sessions: Sessions, session: ConversationSession, ada: User, bob: User
) -> None:
    assert (await sessions.get(session.id, user_id=ada.id)).id == session.id
    assert await sessions.find(session.id, user_id=bob.id) is None


@pytest.fixture
async def filed(digitwin_db: Database, sessions: Sessions, ada: User, bob: User) -> dict[str, Any]:
    """Three sessions that differ in every field, and the ids that the first one refers to."""
    voice = await digitwin_db.voices.create(user_id=ada.id, name="Warm")
    face = await digitwin_db.faces.create(user_id=ada.id, name="Young")
    guest = Participant(kind="guest", ref="web-1")
    first = await sessions.start(
        ada.id,
        external_id="first",
        participant=guest,
        voice_model_id=voice.id,
        face_model_id=face.id,
    )
    second = await sessions.start(ada.id, external_id="second")
    await sessions.start(bob.id, external_id="third")
    await sessions.end(second.id)
    return {
        "user_id": ada.id,
        "participant_id": first.participant_id,
        "voice_model_id": voice.id,
        "face_model_id": face.id,
    }


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("user_id", ..., ["first", "second"]),
        ("participant_id", ..., ["first"]),
        ("participant_id", None, ["second", "third"]),
        ("voice_model_id", ..., ["first"]),
        ("voice_model_id", None, ["second", "third"]),
        ("face_model_id", ..., ["first"]),
        ("face_model_id", None, ["second", "third"]),
        ("external_id", "third", ["third"]),
        ("external_id", None, []),
        ("status", "active", ["first", "third"]),
        ("status", "ended", ["second"]),
    ],
)
async def test_filters_narrow_lists_streams_and_counts(
    sessions: Sessions, filed: dict[str, Any], field: str, value: Any, found: list[str]
) -> None:
    asked: Any = {field: str(filed[field]) if value is ... else value}
    assert [s.external_id for s in (await sessions.list(**asked)).items] == found
    assert [s.external_id async for s in sessions.stream(**asked)] == found
    assert await sessions.count(**asked) == len(found)
    assert await sessions.exists(**asked) == bool(found)


async def test_filters_add_up(sessions: Sessions, filed: dict[str, Any]) -> None:
    assert await sessions.count(user_id=filed["user_id"], status="active", external_id=None) == 0
    assert await sessions.count(user_id=filed["user_id"], status="active") == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"turn_count": 3}, "turn_count"),
        ({"status": "open"}, "status"),
        ({"status": None}, "status"),
        ({"participant_id": "sam"}, "participant_id"),
        ({"voice_model_id": f"{{{uuid7()}}}"}, "voice_model_id"),
        ({"face_model_id": 7}, "face_model_id"),
        ({"user_id": "ada"}, "user_id"),
        ({"external_id": "a\0"}, "external_id"),
    ],
)
async def test_a_filter_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, asked: Any, field: str
) -> None:
    for call in (sessions.list(**asked), sessions.count(**asked), sessions.exists(**asked)):
        with pytest.raises(InvalidInputError) as error:
            await call
        assert error.value.details["field"] == field
    with pytest.raises(InvalidInputError):
        _ = [session async for session in sessions.stream(**asked)]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"after": "x"}, "after")],
)
async def test_a_page_that_cannot_be_is_refused_by_name(
    sessions: Sessions, asked: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.list(**asked)
    assert error.value.details["field"] == field


async def test_pages_show_every_session_once_oldest_first(sessions: Sessions, ada: User) -> None:
    started = [(await sessions.start(ada.id)).id for _ in range(5)]
    seen: list[Any] = []
    after = None
    while True:
        page = await sessions.list(limit=2, after=after, user_id=ada.id)
        seen += [session.id for session in page.items]
        if (after := page.next_cursor) is None:
            break
    assert seen == started


async def test_the_sessions_of_a_deleted_owner_are_hidden_and_come_back_ended(
    digitwin_db: Database, sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    ended = await sessions.start(ada.id)
    await sessions.end(ended.id, reason="hung up")
    await digitwin_db.users.delete(ada.id)
    assert (await sessions.list()).items == []
    assert await sessions.find(session.id) is None
    with pytest.raises(NotFoundError):
        await sessions.update(session.id, metadata={})
    await digitwin_db.users.restore(ada.id)
    reasons = [(s.status, s.end_reason) for s in (await sessions.list()).items]
    assert reasons == [("ended", "user_deleted"), ("ended", "hung up")]


async def test_an_update_changes_what_is_given_and_moves_the_version(
    sessions: Sessions, session: ConversationSession
) -> None:
    new = await sessions.update(session.id, external_id="chat-1", metadata={"a": [1]})
    assert (new.external_id, new.metadata, new.version) == ("chat-1", {"a": [1]}, 2)
    cleared = await sessions.update(session.id, external_id=None)
    assert (cleared.external_id, cleared.metadata) == (None, {"a": [1]})


async def test_an_ended_session_is_still_changed(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.end(session.id)
    assert (await sessions.update(session.id, metadata={"rating": 5})).metadata == {"rating": 5}


async def test_a_stale_version_changes_nothing(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="A turn moves the version too.")
    with pytest.raises(StaleVersionError) as error:
        await sessions.update(session.id, expected_version=1, metadata={"a": 1})
    assert error.value.details["version"] == 2
    assert (await sessions.update(session.id, expected_version=2, metadata={"b": 2})).version == 3


async def test_a_taken_external_id_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, ada: User
) -> None:
    await sessions.start(ada.id, external_id="chat-1")
    with pytest.raises(AlreadyExistsError) as error:
        await sessions.update(session.id, external_id="chat-1")
    assert error.value.details["field"] == "external_id"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "changes"),
        ({"status": "ended"}, "status"),
        ({"turn_count": 5}, "turn_count"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"external_id": "x" * 201}, "external_id"),
        ({"external_id": "x", "expected_version": 0}, "expected_version"),
    ],
)
async def test_a_change_that_does_not_fit_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, changes: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.update(session.id, **changes)
    assert error.value.details["field"] == field
    assert (await sessions.get(session.id)).version == 1


@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({"status": "ended"}, "end"),
        ({"turn_count": 7}, "add_turn"),
        ({"end_reason": "bored"}, "end"),
        ({"participant_id": uuid7()}, "start"),
    ],
)
async def test_the_model_itself_says_what_the_repository_must_do(
    sessions: Sessions, session: ConversationSession, change: dict[str, Any], method: str
) -> None:
    session.update_from_dict(change)
    with pytest.raises(InvalidStateError, match=rf"db\.sessions\.{method}"):
        await session.save()
    assert (await sessions.get(session.id)).version == 1
