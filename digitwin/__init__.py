"""Async data layer for live digital twins, on one PostgreSQL database.

Names are imported on first use: the command line and every pytest run of an environment import
this package, and most of them need none of it.
"""

import gc
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitwin._public import *  # noqa: F403

__all__ = [  # noqa: F405
    "AlreadyExistsError",
    "Artifact",
    "ArtifactDeleter",
    "Ask",
    "AuditFault",
    "AuditSigner",
    "AuditStatistics",
    "AuditVerification",
    "BufferFullError",
    "CheckpointSink",
    "Citation",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConsentRequiredError",
    "Database",
    "Decision",
    "DeleteMemory",
    "Deletion",
    "DigiTwinError",
    "DocumentStatistics",
    "Ed25519Signer",
    "EndpointUsage",
    "ErasureReceipt",
    "Export",
    "FindMemory",
    "Health",
    "HmacSigner",
    "InvalidInputError",
    "InvalidStateError",
    "JointDecision",
    "KeyRing",
    "KeyService",
    "KeyStore",
    "KeyUnavailableError",
    "Lease",
    "Ledger",
    "LedgerEntry",
    "ListNamespaces",
    "MaintenanceReport",
    "Memory",
    "MemoryHit",
    "MigrationRequiredError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Page",
    "Participant",
    "Policy",
    "PoolHealth",
    "PoolTimeoutError",
    "PutMemory",
    "QueryTimeoutError",
    "RateLimitedError",
    "ReadOnlyServerError",
    "RecorderHealth",
    "ReplayReport",
    "Reservation",
    "RetentionPreview",
    "RotationReport",
    "Scan",
    "SchemaChangedError",
    "ScopeRequiredError",
    "SearchHit",
    "SearchMemories",
    "ServerExhaustedError",
    "ServiceScope",
    "SessionOverview",
    "SessionStatistics",
    "Settings",
    "StageStatistics",
    "StaleVersionError",
    "StatementFailedError",
    "StoreStatistics",
    "StoredKey",
    "TierPreview",
    "TierRetention",
    "Trace",
    "TurnHit",
    "TurnRecorder",
    "UnsupportedServerError",
    "UsageSums",
    "UsageTotals",
    "UserScope",
    "connect",
    "session_tag",
    "uuid7",
]


_HOMES = {
    "audit.checkpoints": ("CheckpointSink",),
    "audit.faults": ("AuditFault", "AuditVerification"),
    "audit.signing": ("AuditSigner", "Ed25519Signer", "HmacSigner"),
    "audit.statistics": ("AuditStatistics",),
    "cache.statistics": ("StoreStatistics",),
    "connecting": ("connect",),
    "conversations.citation": ("Citation",),
    "conversations.content.totals": ("UsageSums", "UsageTotals"),
    "conversations.listing.overview": ("SessionOverview",),
    "conversations.participant": ("Participant",),
    "conversations.recorder.flushing": ("RecorderHealth",),
    "conversations.recorder.recorder": ("TurnRecorder",),
    "conversations.search.hits": ("TurnHit",),
    "conversations.deletion": ("session_tag",),
    "conversations.retention.preview": ("RetentionPreview", "TierPreview"),
    "conversations.statistics": ("SessionStatistics", "StageStatistics"),
    "database": ("Database",),
    "errors": (
        "AlreadyExistsError",
        "BufferFullError",
        "ClosedError",
        "ConfigurationError",
        "ConnectionFailedError",
        "ConsentRequiredError",
        "DigiTwinError",
        "InvalidInputError",
        "InvalidStateError",
        "KeyUnavailableError",
        "MigrationRequiredError",
        "NotFoundError",
        "OutcomeUnknownError",
        "PoolTimeoutError",
        "QueryTimeoutError",
        "RateLimitedError",
        "ReadOnlyServerError",
        "SchemaChangedError",
        "ScopeRequiredError",
        "ServerExhaustedError",
        "StaleVersionError",
        "StatementFailedError",
        "UnsupportedServerError",
    ),
    "handle.health": ("Health", "PoolHealth"),
    "handle.scopes": ("ServiceScope", "UserScope"),
    "kernel.execution.maintenance": ("MaintenanceReport",),
    "kernel.primitives.ids": ("uuid7",),
    "kernel.repository.paging": ("Page",),
    "keys.keyring": ("KeyRing",),
    "keys.ports": ("KeyService", "KeyStore", "StoredKey"),
    "keys.rotation": ("RotationReport",),
    "knowledge.leases": ("Lease",),
    "knowledge.results": ("DocumentStatistics", "SearchHit"),
    "limits.decision": ("Ask", "Decision", "EndpointUsage", "JointDecision"),
    "limits.reservation": ("Reservation",),
    "memories.memory": ("Memory", "MemoryHit"),
    "memories.operations": (
        "DeleteMemory",
        "FindMemory",
        "ListNamespaces",
        "PutMemory",
        "SearchMemories",
    ),
    "models": ("Deletion",),
    "policies": ("Policy",),
    "privacy.artifacts": ("Artifact", "ArtifactDeleter"),
    "privacy.erasure_replay": ("ReplayReport",),
    "privacy.export": ("Export",),
    "privacy.ledger": ("Ledger", "LedgerEntry"),
    "privacy.receipts": ("ErasureReceipt",),
    "privacy.scan": ("Scan", "Trace"),
    "retention": ("TierRetention",),
    "settings": ("Settings",),
}
"""Modules of the names, as in ``_public.py``: a name imports its own module alone."""


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(_imported(f"digitwin.{home}"), name)
    return found


def _imported(module: str) -> ModuleType:
    """Import a module without collecting garbage meanwhile.

    Modules make hardly any, and 150 collections that look for it take a seventh of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        if collects:
            gc.enable()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
