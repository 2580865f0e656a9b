"""Export, import, export: the same bytes, whoever the conversation belongs to afterwards."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.models import ConversationSession, User
from tests.integration.conversations.transcripts.conftest import exported
from tests.integration.conversations.transcripts.generated import (
    conversations,
    decoded,
    encoded,
    ids_in,
    without_ids,
)


@settings(
    max_examples=25,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(conversations())
def test_whatever_a_conversation_contains_survives(
    digitwin_url: str, lines: list[dict[str, Any]]
) -> None:
    asyncio.run(_survives(digitwin_url, lines))


async def _survives(url: str, lines: list[dict[str, Any]]) -> None:
    async with connect(url, migrate="skip", pool_min=0) as db:
        ada = await db.users.create(email="ada@example.com", name="Ada")
        bob = await db.users.create(email="bob@example.com", name="Bob")
        try:
            (stored,) = await db.sessions.import_lines(encoded(lines), user_id=ada.id)
            first = await exported(db, stored.session_id)
            assert _given(decoded(first), lines) == lines
            # Bob's copy: the same, with other ids
            (copied,) = await db.for_user(bob.id).sessions.import_lines(first)
            second = decoded(await exported(db, copied.session_id))
            assert without_ids(second) == without_ids(decoded(first))
            assert not ids_in(second) & ids_in(lines)
            # Once Ada's is gone, the ids are free: the same bytes
            await db.users.hard_delete(ada.id)
            (again,) = await db.sessions.import_lines(first, user_id=bob.id)
            assert (again.session_id, again.is_new) == (copied.session_id, False)
            await db.users.hard_delete(bob.id)
            eve = await db.users.create(email="eve@example.com", name="Eve")
            (back,) = await db.sessions.import_lines(first, user_id=eve.id)
            assert await exported(db, back.session_id) == first
        finally:
            async for user in db.users.stream():
                await db.users.hard_delete(user.id)


def _given(found: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields that were given, of the lines that were found."""
    assert len(found) == len(lines)
    return [
        {name: _same(line.get(name), given[name]) for name in given}
        for line, given in zip(found, lines, strict=True)
    ]


def _same(found: Any, given: Any) -> Any:
    """Numbers as jsonb keeps them: 1e22 is written in full, and -0.0 has no sign."""
    if isinstance(given, str) and _MOMENT.fullmatch(given) and isinstance(found, str):
        is_same = datetime.fromisoformat(found) == datetime.fromisoformat(given)
        return given if is_same else found
    if isinstance(given, float) and not isinstance(found, bool) and isinstance(found, int | float):
        return given if float(found) == given else found
    if isinstance(given, dict) and isinstance(found, dict) and given.keys() == found.keys():
        return {name: _same(found[name], given[name]) for name in given}
    if isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        return [_same(*both) for both in zip(found, given, strict=True)]
    return found


_MOMENT = re.compile(r"2026-[0-9-]{5}T[0-9:]{8}(\.[0-9]+)?\+00:00")


async def test_everything_of_a_conversation_is_exported_but_no_address(
    digitwin_db: Database, talk: ConversationSession
) -> None:
    lines = await exported(digitwin_db, talk.id)
    kinds = [line.get("type", "format") for line in decoded(lines)]
    assert kinds == [
        *("format", "session", "participant", "turn", "turn", "item", "item"),
        *("usage", "source", "artifact", "end"),
    ]
    assert "sealed" not in "".join(lines)
    assert all("\n" not in line for line in lines)
    turn = decoded(lines)[3]
    assert (turn["user_text"], turn["asr_ms"]) == ("When are you \u2028 open?\n", 80)
    assert decoded(lines)[-1] == {
        "type": "end",
        "participant": 1,
        "turn": 2,
        "item": 2,
        "usage": 1,
        "source": 1,
        "artifact": 1,
    }


async def test_a_second_import_changes_nothing(
    digitwin_db: Database, talk: ConversationSession, ada: User, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    (own,) = await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
    assert (own.session_id, own.is_new, own.turns) == (talk.id, False, 2)
    (copy,) = await digitwin_db.sessions.import_lines(lines, user_id=bob.id)
    (again,) = await digitwin_db.sessions.import_lines(lines, user_id=bob.id)
    assert (copy.is_new, again.is_new, again.session_id) == (True, False, copy.session_id)
    assert await exported(digitwin_db, talk.id) == lines
    assert (await digitwin_db.sessions.statistics()).sessions == 2


async def test_a_copy_refers_to_nothing_of_the_other_person(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    (copy,) = await digitwin_db.sessions.import_lines(lines, user_id=bob.id)
    was, found = decoded(lines), decoded(await exported(digitwin_db, copy.session_id))
    assert "document_id" in next(line for line in was if line.get("type") == "source")
    assert not ids_in(was) & ids_in(found)


async def test_a_conversation_that_continues_keeps_counting(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    session = json.loads(lines[1])
    for name in ("status", "ended_at", "end_reason"):
        del session[name]
    active = [lines[0], json.dumps(session), *lines[2:]]
    (copy,) = await digitwin_db.sessions.import_lines(active, user_id=bob.id)
    turn = await digitwin_db.sessions.add_turn(copy.session_id, user_text="Still there?")
    assert turn.position == 3
    stored = await digitwin_db.sessions.get(copy.session_id)
    assert (stored.turn_count, stored.item_count) == (3, 3)


async def test_one_database_is_read_while_another_person_is_written(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    me = digitwin_db.for_user(bob.id)
    (copy,) = await me.sessions.import_lines(digitwin_db.sessions.export(talk.id))
    assert copy.is_new
    async with digitwin_db.transaction():
        (again,) = await me.sessions.import_lines(digitwin_db.sessions.export(talk.id))
    assert not again.is_new


async def test_an_export_is_one_snapshot(
    digitwin_db: Database, talk: ConversationSession, ada: User, bob: User
) -> None:
    lines = await exported(digitwin_db, talk.id)
    session = json.loads(lines[1]) | {"id": str(bob.id), "external_id": "call-2"}
    for name in ("status", "ended_at", "end_reason"):
        del session[name]
    many = [
        lines[0],
        json.dumps(session),
        lines[2],
        *(json.dumps({"type": "turn", "user_text": f"{n}"}) for n in range(100)),
        json.dumps({"type": "end"}),
    ]
    (copy,) = await digitwin_db.sessions.import_lines(many, user_id=ada.id)
    seen = 0
    async for line in digitwin_db.sessions.export(copy.session_id):
        if '"type":"turn"' in line:
            seen += 1
            if seen == 1:
                await digitwin_db.sessions.add_turn(copy.session_id, user_text="late")
    assert seen == 100


async def test_what_is_anothers_is_not_found(
    digitwin_db: Database, talk: ConversationSession, bob: User
) -> None:
    from digitwin.errors import NotFoundError

    with pytest.raises(NotFoundError):
        await exported(digitwin_db.for_user(bob.id), talk.id)


async def test_a_score_of_minus_zero_is_zero(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """Exported as -0 it would be read as an integer, which has no such sign."""
    hours = await digitwin_db.documents.create(
        user_id=session.user_id, title="Hours", content="From nine."
    )
    turn = await digitwin_db.sessions.open_turn(session.id, user_text="Hello")
    await digitwin_db.sessions.extend_turn(
        turn.id, session_id=session.id, sources=[{"document_id": hours.id, "score": -0.0}]
    )
    assert '"score":0,' in "".join(await exported(digitwin_db, session.id))
