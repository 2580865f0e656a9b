"""Beside 200,000 turns of others a write finds its session and its turns by their keys."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import asyncpg
import pytest

from digitwin.conversations.living.writing import QUERIES, Shape, for_key, statement
from digitwin.kernel.primitives.ids import NOBODY, uuid7
from digitwin.kernel.sql.audit_step import parameters
from digitwin.models import ConversationSession
from tests.integration.conversations.test_plans import (  # noqa: F401 - the filled database
    SESSIONS,
    assert_ranges,
    digitwin_url,
    is_generic,
    one,
    scans,
)

SHAPES = [
    Shape(
        known_owner=known,
        opens=opens,
        once=True,
        extends=extends,
        retells=retells,
        brief=fenced,
        items=everything,
        usage=everything,
        sources=everything,
        fenced=fenced,
    )
    for known, opens, (extends, retells), everything, fenced in product(
        (True, False),
        (True, False),
        ((0, False), (1, False), (1, True), (4, True)),
        (True, False),
        (True, False),
    )
    if opens or extends or everything
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
async def test_a_write_reads_what_it_is_about(
    raw: asyncpg.Connection,
    one: ConversationSession,  # noqa: F811
    is_generic: bool,  # noqa: F811
    shape: Shape,
) -> None:
    values: dict[str, Any] = {
        **dict.fromkeys(("opening", "extending", "items", "usage", "sources"), "[]"),
        "user_id": one.user_id,
        "session_id": one.id,
        "late_turns": 60.0,
        "item_count": 1,
        "more": True,
        "writer": uuid7(),
        "sequence": 1,
    }
    found = await scans(raw, is_generic, statement(shape), **values)
    assert_ranges(found)
    # Once to extend them, and once to find the first that the search has indexed otherwise
    extended = [node for node in found if re.fullmatch(r"turn(_\d+)?", node.get("Alias", ""))]
    reads = bool(shape.extends) + shape.retells
    assert [node["Index Name"] for node in extended] == ["uq_conversation_turns__id"] * reads


@pytest.mark.parametrize("name", ["standing", "turn_standing"])
@pytest.mark.parametrize("owner_known", [True, False])
async def test_a_look_at_what_was_refused_reads_it_alone(
    raw: asyncpg.Connection,
    one: ConversationSession,  # noqa: F811
    is_generic: bool,  # noqa: F811
    owner_known: bool,
    name: str,
) -> None:
    key = {"user_id": one.user_id if owner_known else None, "session_id": one.id}
    query = for_key(name, key)
    values = {"turn_id": one.id, "writer": uuid7(), "late_turns": 60.0}
    assert_ranges(await scans(raw, is_generic, query, **key, **values))


async def test_maintenance_reads_open_turns_and_active_sessions_alone(
    raw: asyncpg.Connection,
    is_generic: bool,  # noqa: F811
) -> None:
    values: dict[str, Any] = {"after": NOBODY, "timeout": 900.0, "late_turns": 60.0, "batch": 500}
    found = await scans(raw, is_generic, QUERIES["abandon_turns"], **values)
    assert "ix_conversation_turns__open" in [node.get("Index Name") for node in found]
    assert all(node["Node Type"] != "Seq Scan" for node in found)
    values |= {"user_id": NOBODY, "id": NOBODY, **parameters()}
    for name in ("idle_sessions", "end_idle"):
        found = await scans(raw, is_generic, QUERIES[name], **values)
        assert all(node["Node Type"] != "Seq Scan" for node in found), found
        assert all(node["Plan Rows"] < SESSIONS for node in found), found
