"""What is inside a session besides its turns, written past the repositories."""

from __future__ import annotations

from uuid import UUID

from digitwin.database import Database
from digitwin.kernel.primitives.ids import uuid7

_ROWS = (
    "UPDATE conversation_sessions SET item_count = item_count + 1"
    " WHERE $2::uuid IS NOT NULL AND (user_id, id) IN (SELECT user_id, session_id {of_turn})",
    "INSERT INTO turn_items (user_id, session_id, number, id, turn_id, kind, name, payload)"
    " SELECT user_id, session_id, 1, $2, id, 'tool_call', 'lookup',"
    " jsonb_build_object('arguments', jsonb_build_object('query', {tool_argument}::text))"
    " {of_turn}",
    "INSERT INTO usage_records (user_id, session_id, id, turn_id, kind, output_tokens)"
    " SELECT user_id, session_id, $2, id, 'llm', 7 {of_turn}",
    "INSERT INTO turn_sources (user_id, session_id, turn_id, id, passage, quote)"
    " SELECT user_id, session_id, id, $2, 'p. 1', {quote} {of_turn}",
    "INSERT INTO session_artifacts (user_id, session_id, id, kind)"
    " SELECT user_id, session_id, $2, 'file' {of_turn}",
    "INSERT INTO conversation_words (user_id, session_id, first_position, last_position, language,"
    " first_at, last_at, words, pairs) SELECT user_id, session_id, 1, 1, 'english', now(), now(),"
    " 'x:1', B''::bit(8192)"
    " {of_turn} AND $2::uuid IS NOT NULL",
    "INSERT INTO session_writers (user_id, session_id, writer, sequence)"
    " SELECT user_id, session_id, $2, 1 {of_turn}",
)


async def furnish_turn(
    db: Database, turn_id: UUID, *, tool_argument: str = "x", quote: str = "x"
) -> None:
    """Add one row of each kind to a turn and its session."""
    for row in _ROWS:
        insert = row.format(
            of_turn="FROM conversation_turns WHERE id = $1",
            tool_argument=f"'{tool_argument}'",
            quote=f"'{quote}'",
        )
        await db._core.db.execute(insert, turn_id, uuid7())
