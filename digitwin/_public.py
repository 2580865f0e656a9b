"""What ``import digitwin`` offers."""

from digitwin.audit.statistics import AuditStatistics
from digitwin.audit.verification import AuditFault, AuditVerification
from digitwin.cache.counting import StoreStatistics
from digitwin.conversations.participant import Participant
from digitwin.conversations.statistics import SessionStatistics, StageStatistics
from digitwin.database import Database, UserScope, connect
from digitwin.errors import (
    AlreadyExistsError,
    ClosedError,
    ConfigurationError,
    ConnectionFailedError,
    ConsentRequiredError,
    DigiTwinError,
    InvalidInputError,
    InvalidStateError,
    MigrationRequiredError,
    NotFoundError,
    OutcomeUnknownError,
    PoolTimeoutError,
    QueryTimeoutError,
    RateLimitedError,
    ScopeRequiredError,
    StaleVersionError,
    UnsupportedServerError,
)
from digitwin.health import Health, PoolHealth
from digitwin.kernel.ids import uuid7
from digitwin.kernel.paging import Page
from digitwin.knowledge.results import DocumentStatistics, SearchHit
from digitwin.limits.decision import Decision, EndpointUsage
from digitwin.settings import Settings
from digitwin.upkeep import MaintenanceReport

__all__ = [
    "AlreadyExistsError",
    "AuditFault",
    "AuditStatistics",
    "AuditVerification",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConsentRequiredError",
    "Database",
    "Decision",
    "DigiTwinError",
    "DocumentStatistics",
    "EndpointUsage",
    "Health",
    "InvalidInputError",
    "InvalidStateError",
    "MaintenanceReport",
    "MigrationRequiredError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Page",
    "Participant",
    "PoolHealth",
    "PoolTimeoutError",
    "QueryTimeoutError",
    "RateLimitedError",
    "ScopeRequiredError",
    "SearchHit",
    "SessionStatistics",
    "Settings",
    "StageStatistics",
    "StaleVersionError",
    "StoreStatistics",
    "UnsupportedServerError",
    "UserScope",
    "connect",
    "uuid7",
]
