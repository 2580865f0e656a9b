"""The tables of conversations, declared."""

from digitwin.kernel.sql.tables import (
    DELETION,
    DEPENDENT,
    INSERT_ONLY,
    OWNER_ID,
    PERSONAL,
    TIMES,
    VERSION,
    Orphans,
    PersonalData,
    Redacted,
    Table,
    View,
    declare,
)

SESSION_TAG = "session"
"""Begins the tag of cache entries that were made from a session."""
_WHOSE = {"user_id": "whose twin it was"}
_THEY = "(user_id, id) IN (SELECT p.user_id, p.id FROM participants AS p WHERE {them})"
_THEIR_SESSIONS = (
    "(user_id, participant_id) IN (SELECT p.user_id, p.id FROM participants AS p WHERE {them})"
)
_OWN = (
    "participants AS p JOIN conversation_sessions AS s"
    " ON s.user_id = p.user_id AND s.participant_id = p.id"
)
# The speaker of a turn is its participant, else that of its session
_SPOKEN = (
    "SELECT t.user_id, t.session_id, t.position, t.id"
    f" FROM {_OWN} JOIN conversation_turns AS t ON t.user_id = s.user_id AND t.session_id = s.id"
    " WHERE {them} AND t.participant_id IS NULL"
    " UNION ALL SELECT t.user_id, t.session_id, t.position, t.id"
    " FROM participants AS p JOIN conversation_turns AS t"
    " ON t.user_id = p.user_id AND t.participant_id = p.id WHERE {them}"
)
_THEIR_TURNS = (
    "(user_id, session_id, position) IN"
    f" (SELECT spoken.user_id, session_id, position FROM ({_SPOKEN}) AS spoken)"
)
# What belongs to no turn is of the session's participant
_THEIR_ITEMS = (
    "(user_id, session_id, number) IN (SELECT i.user_id, i.session_id, i.number"
    f" FROM ({_SPOKEN}) AS t JOIN turn_items AS i ON i.user_id = t.user_id AND i.turn_id = t.id"
    f" UNION ALL SELECT i.user_id, i.session_id, i.number FROM {_OWN}"
    " JOIN turn_items AS i ON i.user_id = s.user_id AND i.session_id = s.id"
    " WHERE {them} AND i.turn_id IS NULL)"
)
SPOKEN_IN = (
    f"SELECT s.user_id, s.id AS session_id, p.id AS speaker, true AS own FROM {_OWN} WHERE {{them}}"
    " UNION ALL SELECT t.user_id, t.session_id, p.id, false"
    " FROM participants AS p JOIN conversation_turns AS t"
    " ON t.user_id = p.user_id AND t.participant_id = p.id WHERE {them}"
)
"""The sessions in which a participant spoke: their own, and those of a turn of theirs."""
# What is recorded of a whole session holds everybody who spoke in it
_THEIR_ARTIFACTS = (
    f"(user_id, id) IN (SELECT a.user_id, a.id FROM ({SPOKEN_IN}) AS s JOIN session_artifacts AS a"
    " ON a.user_id = s.user_id AND a.session_id = s.session_id LEFT JOIN conversation_turns AS t"
    " ON t.user_id = a.user_id AND t.session_id = a.session_id AND t.id = a.turn_id"
    " WHERE CASE WHEN a.turn_id IS NULL THEN s.own OR a.kind IN ('recording', 'video')"
    " ELSE coalesce(t.participant_id = s.speaker, s.own) END)"
)
_PARTICIPANT = {
    "id": "the participant's id",
    "kind": "owner, user, guest, phone or service",
    "ref": "the service's permanent id for them",
    "name": "their name",
    "traits": "what is known about them",
    **TIMES,
}
_SESSION = {
    "id": "the conversation's id",
    "external_id": "the service's own name for it",
    "participant_id": "who talked to the twin",
    "voice_model_id": "the voice the twin spoke with",
    "face_model_id": "the face the twin showed",
    "status": "active or ended",
    "end_reason": "why it ended",
    "turn_count": "the number of turns",
    "item_count": "the number of items",
    "started_at": "when it began",
    "ended_at": "when it ended",
    "metadata": "notes of the service about it",
}
_TURN = {
    "session_id": "the conversation it belongs to",
    "position": "its place in the conversation, from 1",
    "id": "the turn's id",
    "user_text": "what the participant said",
    "twin_text": "what the twin answered",
    "heard_text": "what was heard of the answer before an interruption",
    "status": "completed, interrupted, open or abandoned",
    "started_at": "when it began",
    "ended_at": "when it ended",
    "participant_id": "who spoke, if not the participant of the conversation",
    "language": "the language that was spoken",
}
_ITEM = {
    "session_id": "the conversation it belongs to",
    "turn_id": "the turn it belongs to, if any",
    "number": "its place among the items of the conversation",
    "id": "the item's id",
    "kind": "message, tool call, tool result, handoff, reasoning, image, audio, file or custom",
    "name": "the name of the tool, or whom the conversation was handed to",
    "payload": "its content",
    "is_error": "whether the tool failed",
    "started_at": "when it began",
    "ended_at": "when it ended",
}
_ARTIFACT = {
    "session_id": "the conversation it belongs to",
    "turn_id": "the turn it belongs to, if any",
    "id": "its id",
    "kind": "recording, video, image or file",
    "content_type": "its media type",
    "size_bytes": "its size in bytes",
    "duration_ms": "its length in milliseconds",
    "started_at": "when it begins",
}


def _they_spoke_in(id: str) -> str:
    return f"(user_id, {id}) IN (SELECT i.user_id, i.session_id FROM ({SPOKEN_IN}) AS i)"


def _ended(reason: str) -> str:
    """Return the assignments that end a session, unless it has ended before."""
    return (
        "status = 'ended', ended_at = coalesce(ended_at, greatest(now(), started_at)),"
        f" end_reason = CASE WHEN status = 'active' THEN '{reason}' ELSE end_reason END"
    )


def _some(columns: dict[str, str], *left_out: str) -> dict[str, str]:
    return _WHOSE | {name: text for name, text in columns.items() if name not in left_out}


declare(
    Table(
        name="participants",
        rights=DEPENDENT,
        person="user_id",
        personal=PersonalData(
            title="Who talked to the twin",
            columns={**OWNER_ID, **_PARTICIPANT},
            as_participant=View(
                "Known to other people's twins", _some(_PARTICIPANT), found_by=_THEY
            ),
            # The row, not only its name: a pseudonym would link conversations of one person
            redacted=(Redacted(_THEY),),
        ),
    ),
    Table(
        name="conversation_sessions",
        rights=PERSONAL,
        person="user_id",
        cache_tag=SESSION_TAG,
        on_deleted=_ended("deleted"),
        on_owner_deleted=_ended("user_deleted"),
        personal=PersonalData(
            title="Conversations",
            columns={**OWNER_ID, **_SESSION, **VERSION, **TIMES, **DELETION},
            left_out={
                "indexed_to": "how far the search has indexed it",
                "is_indexed": "whether the search has indexed all of it",
            },
            as_participant=View(
                "Conversations with other people's twins",
                _some(_SESSION, "voice_model_id", "face_model_id"),
                found_by=_THEIR_SESSIONS,
            ),
            # An ended session accepts no turns
            redacted=(
                Redacted(
                    f"{_THEIR_SESSIONS} AND end_reason IS DISTINCT FROM 'participant_erased'",
                    "status = 'ended', ended_at = coalesce(ended_at, greatest(now(), started_at)),"
                    " end_reason = 'participant_erased', external_id = NULL, metadata = '{}',"
                    " version = version + 1, updated_at = now()",
                ),
                Redacted(
                    f"{_they_spoke_in('id')} AND (is_indexed OR indexed_to > 0)",
                    "is_indexed = false, indexed_to = 0, updated_at = now()",
                ),
            ),
        ),
    ),
    # Before the turns, to which they refer without a foreign key: an erasure takes them first
    Table(
        name="turn_items",
        rights=PERSONAL,  # the end of a conversation can be taken back
        person="user_id",
        personal=PersonalData(
            title="What happened in conversations",
            key=("user_id", "session_id", "number"),
            batch=20,
            columns={
                **OWNER_ID,
                **_ITEM,
                "item_id": "the service's own id of it",
                "call_id": "the id that a tool's call and result share",
                "created_at": TIMES["created_at"],
            },
            as_participant=View(
                "What happened in conversations with other people's twins",
                _some(_ITEM),
                found_by=_THEIR_ITEMS,
            ),
            redacted=(Redacted(_THEIR_ITEMS),),
        ),
    ),
    Table(
        name="usage_records",
        rights=INSERT_ONLY,
        person="user_id",
        personal=PersonalData(
            title="What conversations cost",
            key=("user_id", "session_id", "id"),
            columns={
                **OWNER_ID,
                "session_id": "the conversation it belongs to",
                "turn_id": "the turn it belongs to, if any",
                "id": "the record's id",
                "kind": "llm, stt, tts, avatar or embedding",
                "provider": "who was asked",
                "model": "the model that was used",
                "request_id": "the provider's id of the request",
                "input_tokens": "tokens read, neither cached nor audio",
                "cached_input_tokens": "tokens read from a cache",
                "cache_write_tokens": "tokens written to a cache",
                "output_tokens": "tokens written, neither reasoning nor audio",
                "reasoning_tokens": "tokens of reasoning",
                "audio_input_tokens": "tokens of audio read",
                "audio_output_tokens": "tokens of audio written",
                "characters": "characters",
                "audio_ms": "milliseconds of audio",
                "extra": "further figures of the service",
                "used_at": "when it was used",
                "created_at": TIMES["created_at"],
            },
        ),
    ),
    Table(
        name="turn_sources",
        rights=DEPENDENT,
        person="user_id",
        orphans=Orphans(parent="knowledge_documents", reference="document_id", cleared=("quote",)),
        personal=PersonalData(
            title="What answers were made from",
            key=("user_id", "session_id", "turn_id", "id"),
            columns={
                **OWNER_ID,
                "session_id": "the conversation it belongs to",
                "turn_id": "the turn that used it",
                "id": "its id",
                "document_id": "the document; empty once that is deleted for good",
                "passage": "the place in the document",
                "score": "how well it fitted",
                "quote": "what was quoted",
                "created_at": TIMES["created_at"],
            },
        ),
    ),
    Table(
        name="session_artifacts",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="Recordings and files of conversations",
            columns={
                **OWNER_ID,
                **_ARTIFACT,
                "artifact_uri": "where it is kept (stored encrypted)",
                "checksum": "its checksum (stored encrypted)",
                "metadata": "notes of the service about it",
                **VERSION,
                **TIMES,
            },
            as_participant=View(
                "Recordings and files of conversations with other people's twins",
                _some(_ARTIFACT) | TIMES,
                found_by=_THEIR_ARTIFACTS,
            ),
            redacted=(Redacted(_THEIR_ARTIFACTS),),
        ),
    ),
    Table(
        name="session_writers",
        rights=PERSONAL,  # maintenance removes them
        person="user_id",
        personal=PersonalData(
            title="Programs that recorded conversations",
            key=("user_id", "session_id", "writer"),
            columns={
                **OWNER_ID,
                "session_id": "the conversation",
                "writer": "the id of the recorder",
                "sequence": "how many times it has written",
                "updated_at": "when it last did",
            },
        ),
    ),
    Table(
        name="conversation_words",
        rights=PERSONAL,
        person="user_id",
        personal=PersonalData(
            title="The search index of what was said",
            key=("user_id", "session_id", "first_position"),
            exported=False,
            columns={},
            left_out=dict.fromkeys(
                (
                    "user_id",
                    "session_id",
                    "first_position",
                    "last_position",
                    "language",
                    "first_at",
                    "last_at",
                    "words",
                    "pairs",
                ),
                "made from the turns, which are exported",
            ),
            # The search reads such sessions as they are, until they are indexed again
            redacted=(Redacted(_they_spoke_in("session_id")),),
        ),
    ),
    Table(
        name="conversation_turns",
        rights=PERSONAL,  # the end of a conversation can be taken back
        person="user_id",
        personal=PersonalData(
            title="What was said",
            key=("user_id", "session_id", "position"),
            batch=20,
            columns={
                **OWNER_ID,
                **_TURN,
                "end_of_turn_ms": "milliseconds until the end of speech was noticed",
                "asr_ms": "milliseconds of speech recognition",
                "retrieval_ms": "milliseconds of looking up documents",
                "llm_first_token_ms": "milliseconds to the language model's first token",
                "llm_ms": "milliseconds of the language model",
                "tool_ms": "milliseconds of tools",
                "tts_first_audio_ms": "milliseconds to the first sound of speech synthesis",
                "tts_ms": "milliseconds of speech synthesis",
                "render_ms": "milliseconds that the face lagged behind",
                "first_audio_ms": "milliseconds to the first sound of the answer",
                "total_ms": "milliseconds in all",
                "input_tokens": "tokens the language model read",
                "output_tokens": "tokens it wrote",
                "extra": "further figures of the service",
                "idempotency_key": "the sender's key against storing the turn twice",
                **VERSION,
                **TIMES,
            },
            as_participant=View(
                "What was said to other people's twins",
                _some(_TURN) | TIMES,
                found_by=_THEIR_TURNS,
            ),
            # Empty instead of null: it marks the turn, and whoever writes to it is refused
            redacted=(
                Redacted(
                    f"{_THEIR_TURNS} AND user_text IS DISTINCT FROM ''",
                    "user_text = '', twin_text = CASE WHEN :keep_answers THEN twin_text END,"
                    " heard_text = CASE WHEN :keep_answers THEN heard_text END,"
                    " language = NULL, extra = NULL, idempotency_key = NULL,"
                    " ended_at = CASE WHEN status = 'open' THEN greatest(updated_at, started_at)"
                    " ELSE ended_at END,"
                    " status = CASE WHEN status = 'open' THEN 'abandoned' ELSE status END,"
                    " version = version + 1, updated_at = now()",
                ),
            ),
        ),
    ),
)
