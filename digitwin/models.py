"""The models: what the repositories return, importable from here and usable directly."""

from digitwin.audit.models import AuditCheckpoint, AuditLeaf, AuditLog, AuditSeal
from digitwin.cache.models import (
    CachedEmbedding,
    CachedResponse,
    CachedSearch,
    CacheInvalidation,
    CacheUsage,
)
from digitwin.consents.models import Consent
from digitwin.conversations.models import (
    ConversationSession,
    ConversationTurn,
    SessionParticipant,
)
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.likeness.models import FaceModel, VoiceModel
from digitwin.limits.models import RateLimit, RateLimitUsage
from digitwin.privacy.models import ArtifactDeletion, Erasure
from digitwin.users.models import Deletion, User, UserEmail

__all__ = [
    "AuditLog",
    "Consent",
    "ConversationSession",
    "ConversationTurn",
    "Deletion",
    "FaceModel",
    "KnowledgeDocument",
    "SessionParticipant",
    "User",
    "VoiceModel",
]

__models__ = [
    ArtifactDeletion,
    AuditCheckpoint,
    AuditLeaf,
    AuditLog,
    AuditSeal,
    CacheInvalidation,
    CacheUsage,
    CachedEmbedding,
    CachedResponse,
    CachedSearch,
    Consent,
    ConversationSession,
    ConversationTurn,
    Erasure,
    Deletion,
    FaceModel,
    KnowledgeDocument,
    RateLimit,
    RateLimitUsage,
    SessionParticipant,
    User,
    UserEmail,
    VoiceModel,
]
"""Every table of ours, for Tortoise and Aerich."""
