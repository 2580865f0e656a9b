"""Async data layer for live digital twins, on one PostgreSQL database.

Names are imported on first use: the command line and every pytest run of an environment import
this package, and most of them need none of it.
"""

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
    "CheckpointSink",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConsentRequiredError",
    "Database",
    "Decision",
    "Deletion",
    "DigiTwinError",
    "DocumentStatistics",
    "Ed25519Signer",
    "EndpointUsage",
    "ErasureReceipt",
    "Export",
    "Health",
    "HmacSigner",
    "InvalidInputError",
    "InvalidStateError",
    "JointDecision",
    "KeyRing",
    "KeyService",
    "KeyStore",
    "KeyUnavailableError",
    "Ledger",
    "LedgerEntry",
    "MaintenanceReport",
    "MigrationRequiredError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Page",
    "Participant",
    "Policy",
    "PoolHealth",
    "PoolTimeoutError",
    "QueryTimeoutError",
    "RateLimitedError",
    "ReadOnlyServerError",
    "ReplayReport",
    "Reservation",
    "RotationReport",
    "Scan",
    "SchemaChangedError",
    "ScopeRequiredError",
    "SearchHit",
    "ServerExhaustedError",
    "ServiceScope",
    "SessionStatistics",
    "Settings",
    "StageStatistics",
    "StaleVersionError",
    "StatementFailedError",
    "StoreStatistics",
    "StoredKey",
    "Trace",
    "UnsupportedServerError",
    "UserScope",
    "connect",
    "uuid7",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from digitwin import _public

    return getattr(_public, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
