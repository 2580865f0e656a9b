"""A conversation of Ada's with one of everything in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.models import ConversationSession, User


async def exported(db: Any, session_id: UUID) -> list[str]:
    return [line async for line in db.sessions.export(session_id)]


@pytest.fixture
async def talk(digitwin_db: Database, ada: User, raw: asyncpg.Connection) -> ConversationSession:
    sessions = digitwin_db.sessions
    sam = Participant(kind="guest", ref="web-81f3", name="Sam", traits=["regular"])
    session = await sessions.start(ada.id, external_id="call-1", participant=sam)
    turn = await sessions.add_turn(
        session.id,
        user_text="When are you \u2028 open?\n",
        twin_text="From nine.",
        timings={"asr_ms": 80},
        usage={"input_tokens": 12},
        idempotency_key="first",
    )
    await sessions.add_turn(session.id, twin_text="And on", heard_text="", interrupted=True)
    document = await digitwin_db.documents.create(user_id=ada.id, title="Hours", content="Nine")
    of = {"u": ada.id, "s": session.id, "t": turn.id, "d": document.id}
    for statement in _CONTENTS:
        names = [name for name in of if f"${name}" in statement]
        for n, name in enumerate(names, 1):
            statement = statement.replace(f"${name}", f"${n}::uuid")
        await raw.execute(statement, *(of[name] for name in names))
    return await sessions.end(session.id)


_CONTENTS = (
    """INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, call_id, payload)
    VALUES ($u, $s, 1, gen_random_uuid(), NULL, 'message', NULL, '{"role": "system"}'),
           ($u, $s, 3, gen_random_uuid(), $t, 'tool_call', 'c1', '{"day": 1e22, "x": 0.1}')""",
    "UPDATE conversation_sessions SET item_count = 3 WHERE id = $s",
    """INSERT INTO usage_records (user_id, session_id, id, turn_id, kind, request_id, input_tokens)
    VALUES ($u, $s, gen_random_uuid(), $t, 'llm', 'r1', 12)""",
    """INSERT INTO turn_sources (user_id, session_id, turn_id, id, document_id, score, quote)
    VALUES ($u, $s, $t, gen_random_uuid(), $d, 0.1, 'From nine')""",
    """INSERT INTO session_artifacts
        (user_id, session_id, id, turn_id, kind, artifact_uri, checksum, duration_ms)
    VALUES ($u, $s, gen_random_uuid(), $t, 'recording', 'dt1:sealed', 'dt1:sealed', 1200)""",
)
