"""A citation shows its document as it is now, and keeps nothing of one that is deleted for good."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from digitwin import Citation
from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.models import ConversationSession, ConversationTurn, KnowledgeDocument, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.content.conftest import Put
from tests.support.waiting import UntilWaiting

QUOTES = "SELECT quote FROM turn_sources ORDER BY id"


async def test_a_citation_shows_its_document(
    sessions: Sessions, turn: ConversationTurn, document: KnowledgeDocument, cite: Put
) -> None:
    id = await cite(turn, document)
    assert await sessions.sources(turn.id) == [
        Citation(
            id=id,
            turn_id=turn.id,
            document_id=document.id,
            title="Handbook",
            passage="p. 3",
            score=0.5,
            quote="at nine",
            visibility="visitors",
            document_deleted=False,
        )
    ]


async def test_citations_are_in_the_order_of_use(
    sessions: Sessions, turn: ConversationTurn, document: KnowledgeDocument, cite: Put
) -> None:
    ids = [await cite(turn, document, quote=f"q{n}") for n in range(5)]
    assert [found.id for found in await sessions.sources(turn.id)] == ids


async def test_a_visitor_can_be_spared_what_is_the_owners_alone(
    digitwin_db: Database,
    sessions: Sessions,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
) -> None:
    await cite(turn, document)
    await digitwin_db.documents.update(document.id, visibility="owner")
    [found] = await sessions.sources(turn.id)
    assert found.visibility == "owner"
    assert "Handbook" not in repr(found)
    assert "at nine" not in repr(found)


async def test_a_deleted_document_is_said_to_be_and_not_shown_until_restored(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
) -> None:
    await cite(turn, document)
    before = await sessions.sources(turn.id)
    await digitwin_db.documents.delete(document.id)
    [found] = await sessions.sources(turn.id)
    assert found.document_deleted
    assert (found.title, found.quote, found.visibility) == (None, None, None)
    assert (found.document_id, found.passage, found.score) == (document.id, "p. 3", 0.5)
    loaded = await sessions.with_turns(session.id, items=True)
    assert loaded.turns[0].sources == [found]
    await digitwin_db.documents.restore(document.id)
    assert await sessions.sources(turn.id) == before


async def test_a_hard_delete_removes_the_quotes(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    sessions: Sessions,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
    ada: User,
) -> None:
    other = await digitwin_db.documents.create(user_id=ada.id, title="Other", content="c")
    for cited in (document, other, document):
        await cite(turn, cited)
    await digitwin_db.documents.hard_delete(document.id)
    assert [row["quote"] for row in await raw.fetch(QUOTES)] == [None, "at nine", None]
    found = await sessions.sources(turn.id)
    assert [(one.document_id, one.document_deleted) for one in found] == [
        (None, True),
        (other.id, False),
        (None, True),
    ]
    assert found[0].passage == "p. 3"


async def test_a_hard_delete_in_a_scope_removes_the_quotes(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
    ada: User,
) -> None:
    await cite(turn, document)
    await digitwin_db.for_user(ada.id).documents.hard_delete(document.id)
    assert [row["quote"] for row in await raw.fetch(QUOTES)] == [None]


async def test_a_rolled_back_hard_delete_keeps_the_quotes(
    digitwin_db: Database,
    sessions: Sessions,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
) -> None:
    await cite(turn, document)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.documents.hard_delete(document.id)
            raise ZeroDivisionError
    [found] = await sessions.sources(turn.id)
    assert found.quote == "at nine"


async def test_a_deletion_that_becomes_final_removes_the_quotes(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    raw: asyncpg.Connection,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
) -> None:
    db = await digitwin_db_factory(digitwin_url, deletion_retention=0.001)
    await cite(turn, document)
    await db.documents.delete(document.id)
    assert [row["quote"] for row in await raw.fetch(QUOTES)] == ["at nine"]
    await db.maintain()
    assert not await db.documents.exists(include_deleted=True)
    assert [row["quote"] for row in await raw.fetch(QUOTES)] == [None]


async def test_an_erasure_removes_the_sources(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
    ada: User,
) -> None:
    await cite(turn, document)
    await digitwin_db.privacy.erase(ada.id, reason="asked")
    assert await raw.fetch(QUOTES) == []


async def test_a_citation_stored_while_its_document_is_deleted_keeps_no_quote(
    digitwin_db: Database,
    raw: asyncpg.Connection,
    digitwin_url: str,
    turn: ConversationTurn,
    document: KnowledgeDocument,
    cite: Put,
    until_waiting: UntilWaiting,
) -> None:
    """The deletion waits for the transaction that cites, and began before its row was there."""
    async with raw.transaction():
        await cite(turn, document)
        deletion = asyncio.create_task(digitwin_db.documents.hard_delete(document.id))
        await until_waiting(1)
    await deletion
    assert [row["quote"] for row in await raw.fetch(QUOTES)] == [None]


async def test_another_persons_document_cannot_be_cited(
    digitwin_db: Database, turn: ConversationTurn, cite: Put, bob: User
) -> None:
    his: Any = await digitwin_db.documents.create(user_id=bob.id, title="His", content="c")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await cite(turn, his)
