"""Every table that holds something of a person's, and what is to be done about it.

Data, not code: export, erasure and the tests read it. A table or a column that is in the
database and not in here makes a test fail, so that nobody adds one without saying how it is
found for a person, what it means to them and how it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

Erasure = Literal["rows", "cache", "trail"]
"""How what is held goes: as rows; by the cache, which must forget it in memory too; or by being
made nobody's, since a trail of what happened must stay whole."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One table with personal data."""

    table: str
    title: str
    """For people, above what is exported."""
    key: tuple[str, ...]
    """The primary key: rows are exported and locked in its order."""
    columns: Mapping[str, str]
    """What is exported, with its meaning for people."""
    found_by: str = "user_id = $1"
    """The condition for a person's rows; ``$1`` is their id."""
    erasure: Erasure = "rows"
    exported: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not exported, and why."""
    sealed: frozenset[str] = frozenset()
    """Columns that are encrypted, and exported as what they mean."""
    vectors: frozenset[str] = frozenset()
    """Columns with float32 numbers, exported as lists."""
    batch: int = 100
    """Rows fetched at once: few where one may be large, for memory is to stay small."""


_TIMES = {"created_at": "when it was stored", "updated_at": "when it was last changed"}
_DELETION = {
    "deleted_at": "when it was deleted, which hides it until its deletion is final",
    "deletion_id": "the deletion it went with",
}
_VERSION = {"version": "how often it was changed, from 1"}
_OWNER = {"user_id": "the person's id"}
_SUBJECT = "subject = $1::uuid::text"


def _likeness(kind: str) -> dict[str, str]:
    return {
        **_OWNER,
        "id": f"the {kind} model's id",
        "name": "its name",
        "provider": "who trained it",
        "artifact_uri": "where the trained model is kept (stored encrypted)",
        "checksum": "the trained model's checksum (stored encrypted)",
        "status": "pending, training, ready or failed",
        "quality_score": "how good it is, 0 to 1",
        "is_active": "whether the twin uses it",
        "metadata": "whatever the service noted about it",
        **_VERSION,
        **_TIMES,
        **_DELETION,
    }


def _cached(value: str) -> dict[str, str]:
    return {
        **_OWNER,
        "audience": "for whom it may be used: owner or visitor",
        "key": "what it was kept under",
        "value": value,
        "tags": "by which it is forgotten",
        "size_bytes": "how large the value is",
        "created_at": "when it was kept",
        "expires_at": "from when it is no longer used",
    }


_ARTIFACT = frozenset({"artifact_uri", "checksum"})
_CACHE_KEY = ("user_id", "audience", "key")

CATALOGUE: Final[tuple[Holding, ...]] = (
    Holding(
        "conversation_turns",
        "What was said",
        key=("user_id", "session_id", "position"),
        columns={
            **_OWNER,
            "session_id": "the conversation it belongs to",
            "position": "its place in the conversation, from 1",
            "id": "the turn's id",
            "user_text": "what the participant said",
            "twin_text": "what the twin answered",
            "heard_text": "what was heard of the answer before an interruption",
            "status": "completed, interrupted, open or abandoned",
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
            "idempotency_key": "the sender's mark against storing the turn twice",
            **_VERSION,
            **_TIMES,
        },
        batch=20,
    ),
    Holding(
        "conversation_sessions",
        "Conversations",
        key=("user_id", "id"),
        columns={
            **_OWNER,
            "id": "the conversation's id",
            "external_id": "the service's own name for it",
            "participant_id": "who talked to the twin",
            "voice_model_id": "the voice the twin spoke with",
            "face_model_id": "the face the twin showed",
            "status": "active or ended",
            "end_reason": "why it ended",
            "turn_count": "how many turns it has had",
            "started_at": "when it began",
            "ended_at": "when it ended",
            "metadata": "whatever the service noted about it",
            **_VERSION,
            **_TIMES,
            **_DELETION,
        },
    ),
    Holding(
        "participants",
        "Who talked to the twin",
        key=("user_id", "id"),
        columns={
            **_OWNER,
            "id": "the participant's id",
            "kind": "owner, user, guest, phone or service",
            "ref": "the service's lasting name for them",
            "name": "what to call them",
            "traits": "what is known of them",
            **_TIMES,
        },
    ),
    Holding(
        "voice_models",
        "Voices",
        key=("user_id", "id"),
        columns=_likeness("voice"),
        sealed=_ARTIFACT,
    ),
    Holding(
        "face_models",
        "Faces",
        key=("user_id", "id"),
        columns=_likeness("face"),
        sealed=_ARTIFACT,
    ),
    Holding(
        "knowledge_documents",
        "Documents",
        key=("user_id", "id"),
        columns={
            **_OWNER,
            "id": "the document's id",
            "title": "its title",
            "content": "its text",
            "content_type": "the kind of text",
            "source_uri": "where it came from",
            "content_hash": "the SHA-256 of its text",
            "visibility": "who may hear of it: owner or visitors",
            "status": "pending, processing, ready or failed",
            "error": "why it failed",
            "attempts": "how often it was processed",
            "worker": "who is processing it",
            "lease_until": "until when that worker has it",
            "metadata": "whatever the service noted about it",
            **_VERSION,
            **_TIMES,
            **_DELETION,
        },
        left_out={"search_vector": "computed from title and content, for search"},
        batch=2,
    ),
    Holding(
        "embedding_cache",
        "Kept embeddings",
        key=_CACHE_KEY,
        columns=_cached("the numbers that stand for a text"),
        left_out={"stale_until": "until when an old value may be shown"},
        vectors=frozenset({"value"}),
        erasure="cache",
    ),
    Holding(
        "vector_search_cache",
        "Kept searches",
        key=_CACHE_KEY,
        columns=_cached("what the search found"),
        left_out={"stale_until": "until when an old value may be shown"},
        erasure="cache",
        batch=20,
    ),
    Holding(
        "llm_response_cache",
        "Kept answers",
        key=_CACHE_KEY,
        columns={**_cached("the answer"), "hit_count": "how often it was used"},
        left_out={"stale_until": "until when an old value may be shown"},
        erasure="cache",
        batch=20,
    ),
    Holding(
        "rate_limits",
        "Limits",
        key=("subject", "endpoint", "window_ms"),
        columns={
            "subject": "the person's id",
            "endpoint": "what is limited",
            "window_ms": "milliseconds in which an empty budget fills up",
            "max_tokens": "the whole budget",
            "tokens": "what was left of it at the last use",
            "allowed": "whether the last use was allowed",
            "updated_at": "when it was last used",
        },
        found_by=_SUBJECT,
    ),
    Holding(
        "rate_limit_usage",
        "Use of what is limited",
        key=("endpoint", "subject", "bucket"),
        columns={
            "subject": "the person's id",
            "endpoint": "what was used",
            "bucket": "the hour",
            "allowed": "how often it was allowed",
            "denied": "how often it was denied",
        },
        found_by=_SUBJECT,
    ),
    Holding(
        "consents",
        "Consents",
        key=("user_id", "id"),
        columns={
            **_OWNER,
            "id": "the consent's id",
            "purpose": "for what: voice, face or recording",
            "evidence": "what shows that it was given",
            "granted_at": "when it was given",
            "expires_at": "when it ends by itself",
            "withdrawn_at": "when it was withdrawn",
        },
    ),
    Holding(
        "user_keys",
        "The key of what is encrypted",
        key=("user_id",),
        columns={},
        exported=False,
        left_out={
            **_OWNER,
            "key_id": "which master key the person's key is under",
            "wrapped": "a key opens what is exported anyway, and is a secret",
            **_TIMES,
        },
    ),
    Holding(
        "deletions",
        "What was deleted",
        key=("user_id", "id"),
        columns={
            **_OWNER,
            "id": "the deletion's id, which all that went with it carries",
            "resource": "user, voice_model, face_model or document",
            "resource_id": "which one",
            "reason": "why, as far as it was said",
            "actor_id": "who did it, as far as it was said",
            "deleted_at": "when",
            "restored_at": "when it was taken back",
            "final_at": "when what it hid was removed for good",
        },
    ),
    Holding(
        "user_emails",
        "E-mail address in use",
        key=("address",),
        columns={"address": "the address, as it is compared", **_OWNER},
    ),
    Holding(
        "users",
        "The person",
        key=("id",),
        columns={
            "id": "the person's id",
            "email": "the e-mail address",
            "name": "the name",
            "personality_traits": "what the twin is told about the person's manner",
            "settings": "preferences",
            "subscription_tier": "free, pro or enterprise",
            **_VERSION,
            **_TIMES,
            **_DELETION,
        },
        found_by="id = $1",
    ),
    Holding(
        "audit_logs",
        "What was done, by the person or about them",
        key=("user_id", "id"),
        columns={
            "user_id": "whom it concerns",
            "id": "the record's id",
            "action": "what was done",
            "resource": "to what kind of thing",
            "resource_id": "to which one",
            "actor_id": "who did it",
            "result": "success, failure or denied",
            "ip_address": "from where",
            "user_agent": "with which program",
            "metadata": "what else was noted",
            "created_at": "when",
        },
        found_by="(user_id = $1 OR actor_id = $1 OR resource_id = $1::uuid::text)",
        erasure="trail",
    ),
)
"""In the order in which rows go: what refers to another before what it refers to."""

IMPERSONAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aerich": "which migrations there were",
        "digitwin_schema": "which version the schema has",
        "audit_seals": "digests of the trail, and signatures",
        "audit_leaves": "salted digests of the trail's records; the salts of the erased are gone",
        "audit_checkpoints": "what was removed of the trail when its time was over",
        "cache_invalidations": "what was emptied when; a person stands there as a hash, for a day",
        "cache_usage": "counts by store and hour",
        "erasures": "who was erased, as a hash",
        "artifact_deletions": "sealed addresses of artifacts of the erased, until they are deleted",
    }
)
"""Tables without anything of a person's, and what they hold."""


_THEM = "ref = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR user_id <> $3)"
_THEIR_SESSIONS = (
    f"(user_id, participant_id) IN (SELECT p.user_id, p.id FROM participants AS p WHERE {_THEM})"
)
_PART_OF: Final = {held.table: held for held in CATALOGUE}


def _as_participant(table: str, title: str, columns: tuple[str, ...], found_by: str) -> Holding:
    held = _PART_OF[table]
    meanings = {"user_id": "whose twin it was", **held.columns}
    return Holding(
        table,
        title,
        key=held.key,
        columns={name: meanings[name] for name in columns} | {"user_id": "whose twin it was"},
        found_by=found_by,
        batch=held.batch,
    )


AS_PARTICIPANT: Final[tuple[Holding, ...]] = (
    _as_participant(
        "participants",
        "Known to other people's twins",
        ("user_id", "id", "kind", "ref", "name", "traits", "created_at", "updated_at"),
        _THEM,
    ),
    _as_participant(
        "conversation_sessions",
        "Conversations with other people's twins",
        (
            *("user_id", "id", "external_id", "participant_id", "status", "end_reason"),
            *("turn_count", "started_at", "ended_at", "metadata"),
        ),
        _THEIR_SESSIONS,
    ),
    _as_participant(
        "conversation_turns",
        "What was said to other people's twins",
        (
            *("user_id", "session_id", "position", "id", "user_text", "twin_text", "heard_text"),
            *("status", "created_at", "updated_at"),
        ),
        "(user_id, session_id) IN (SELECT s.user_id, s.id FROM conversation_sessions AS s WHERE"
        f" {_THEIR_SESSIONS})",
    ),
)
"""What is held about somebody who talked to twins that are not theirs. ``$1`` is their ref, ``$2``
their kind or null, ``$3`` an owner who is left out or null."""

LIMITS_OF_A_NAME: Final[tuple[Holding, ...]] = tuple(
    replace(_PART_OF[table], found_by="subject = $1")
    for table in ("rate_limits", "rate_limit_usage")
)
"""Limits of somebody known by a name alone, which is ``$1``."""
