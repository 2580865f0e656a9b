"""The tables of conversations, declared."""

from digitwin.kernel.sql.spelling import spellings
from digitwin.kernel.sql.tables import (
    DELETION,
    DEPENDENT,
    OWNER_ID,
    PERSONAL,
    TIMES,
    VERSION,
    PersonalData,
    Table,
    View,
    declare,
)

_WHOSE = {"user_id": "whose twin it was"}
_THEM = (
    f"ref = ANY({spellings(':ref::text')})"
    " AND (:kind::text IS NULL OR kind = :kind)"
    " AND (:except_of::uuid IS NULL OR user_id <> :except_of)"
)
_THEIR_SESSIONS = (
    f"(user_id, participant_id) IN (SELECT p.user_id, p.id FROM participants AS p WHERE {_THEM})"
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
}


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
                "Known to other people's twins", _some(_PARTICIPANT), found_by=_THEM
            ),
        ),
    ),
    Table(
        name="conversation_sessions",
        rights=PERSONAL,
        person="user_id",
        on_owner_deleted=(
            "status = 'ended', ended_at = coalesce(ended_at, now()),"
            " end_reason = CASE WHEN status = 'active' THEN 'user_deleted' ELSE end_reason END"
        ),
        personal=PersonalData(
            title="Conversations",
            columns={**OWNER_ID, **_SESSION, **VERSION, **TIMES, **DELETION},
            as_participant=View(
                "Conversations with other people's twins",
                _some(_SESSION, "voice_model_id", "face_model_id"),
                found_by=_THEIR_SESSIONS,
            ),
        ),
    ),
    Table(
        name="conversation_turns",
        rights=DEPENDENT,
        person="user_id",
        personal=PersonalData(
            title="What was said",
            key=("user_id", "session_id", "position"),
            batch=20,
            columns={
                **OWNER_ID,
                **_TURN,
                "asr_ms": "milliseconds of speech recognition",
                "retrieval_ms": "milliseconds of looking up documents",
                "llm_first_token_ms": "milliseconds to the language model's first token",
                "llm_ms": "milliseconds of the language model",
                "tts_ms": "milliseconds of speech synthesis",
                "render_ms": "milliseconds of drawing the face",
                "first_audio_ms": "milliseconds to the first sound of the answer",
                "total_ms": "milliseconds in all",
                "input_tokens": "tokens the language model read",
                "output_tokens": "tokens it wrote",
                "idempotency_key": "the sender's key against storing the turn twice",
                **VERSION,
                **TIMES,
            },
            as_participant=View(
                "What was said to other people's twins",
                _some(_TURN) | TIMES,
                found_by="(user_id, session_id) IN (SELECT s.user_id, s.id"
                f" FROM conversation_sessions AS s WHERE {_THEIR_SESSIONS})",
            ),
        ),
    ),
)
