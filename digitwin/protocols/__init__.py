"""Protocols of the repositories: annotate a function with one, and test it with a fake.

There is one for each repository of a handle, such as :class:`Users` and :class:`RateLimits`.
They are made of small ones that a function needs most often and a fake satisfies in a few lines:
:class:`Reads`, :class:`SoftDeletes`, :class:`UserLookup`, :class:`SessionTurns`,
:class:`SessionContents`, :class:`Recorder`, :class:`SearchableDocuments`, :class:`DocumentQueue`,
:class:`TokenBuckets`, :class:`AuditRecorder`.
A method promises what the repository's method of the same name promises.

What you implement for a handle to work with (:class:`~digitwin.KeyService`,
:class:`~digitwin.CheckpointSink` and others) is in :mod:`digitwin` itself.
"""

from digitwin.protocols.contents import SessionContents
from digitwin.protocols.documents import DocumentQueue, KnowledgeDocuments, SearchableDocuments
from digitwin.protocols.entities import CreatesMany, Reads, SoftDeletes
from digitwin.protocols.memories import Memories
from digitwin.protocols.personal import (
    Consents,
    FaceModels,
    LikenessModels,
    UserLookup,
    Users,
    VoiceModels,
)
from digitwin.protocols.recording import Recorder
from digitwin.protocols.sessions import ConversationSessions, SessionTurns
from digitwin.protocols.shared import (
    AuditRecorder,
    AuditTrail,
    Cache,
    CacheStore,
    DataProtection,
    EmbeddingCacheStore,
    RateLimits,
    Reserved,
    Reserves,
    TokenBuckets,
)

__all__ = [
    "AuditRecorder",
    "AuditTrail",
    "Cache",
    "CacheStore",
    "Consents",
    "ConversationSessions",
    "CreatesMany",
    "DataProtection",
    "DocumentQueue",
    "EmbeddingCacheStore",
    "FaceModels",
    "KnowledgeDocuments",
    "LikenessModels",
    "Memories",
    "RateLimits",
    "Reads",
    "Recorder",
    "Reserved",
    "Reserves",
    "SearchableDocuments",
    "SessionContents",
    "SessionTurns",
    "SoftDeletes",
    "TokenBuckets",
    "UserLookup",
    "Users",
    "VoiceModels",
]
