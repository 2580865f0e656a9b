"""The Tortoise models that the repositories return, for direct use.

Importing this module also completes the registry of tables (``kernel/sql/tables.py``).
"""

import digitwin.kernel.orm  # first, since it imports Tortoise quickly

# isort: split
import digitwin.audit.models
import digitwin.audit.tables
import digitwin.cache.models
import digitwin.cache.tables
import digitwin.consents.models
import digitwin.consents.tables
import digitwin.conversations.contents
import digitwin.conversations.models
import digitwin.conversations.tables
import digitwin.kernel.migrations.tables
import digitwin.keys.tables
import digitwin.knowledge.models
import digitwin.knowledge.tables
import digitwin.likeness.models
import digitwin.likeness.tables
import digitwin.limits.models
import digitwin.limits.tables
import digitwin.memories.models
import digitwin.memories.tables
import digitwin.privacy.models
import digitwin.privacy.tables
import digitwin.users.models
import digitwin.users.tables
from digitwin.audit.models import AuditLog
from digitwin.consents.models import Consent
from digitwin.conversations.contents import (
    SessionArtifact,
    TurnItem,
    TurnSource,
    UsageRecord,
)
from digitwin.conversations.models import (
    ConversationSession,
    ConversationTurn,
    SessionParticipant,
)
from digitwin.kernel.orm.initialisation import initialise
from digitwin.kernel.orm.model import every_model
from digitwin.knowledge.models import KnowledgeDocument
from digitwin.likeness.models import FaceModel, VoiceModel
from digitwin.users.models import Deletion, User

__all__ = [
    "AuditLog",
    "Consent",
    "ConversationSession",
    "ConversationTurn",
    "Deletion",
    "FaceModel",
    "KnowledgeDocument",
    "SessionArtifact",
    "SessionParticipant",
    "TurnItem",
    "TurnSource",
    "UsageRecord",
    "User",
    "VoiceModel",
]

__models__ = list(every_model())
"""Every model, for Tortoise and Aerich."""

# At import, so that a schema made from a model before a handle is open knows its relations
initialise(__name__)
