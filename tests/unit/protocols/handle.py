"""Each repository of a handle satisfies its Protocol: `make check` has the type checker read it."""

from digitwin import Database, TurnRecorder, protocols


def check_recorder(recorder: TurnRecorder) -> None:
    _recorder: protocols.Recorder = recorder


def check(db: Database) -> None:
    _audit: protocols.AuditTrail = db.audit
    _cache: protocols.Cache = db.cache
    _consents: protocols.Consents = db.consents
    _documents: protocols.KnowledgeDocuments = db.documents
    _faces: protocols.FaceModels = db.faces
    _limits: protocols.RateLimits = db.limits
    _memories: protocols.Memories = db.memories
    _privacy: protocols.DataProtection = db.privacy
    _sessions: protocols.ConversationSessions = db.sessions
    _users: protocols.Users = db.users
    _voices: protocols.VoiceModels = db.voices
