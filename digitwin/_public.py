"""Imports the names that ``import digitwin`` exports."""

from digitwin.audit.checkpoints import CheckpointSink as CheckpointSink
from digitwin.audit.faults import (
    AuditFault as AuditFault,
    AuditVerification as AuditVerification,
)
from digitwin.audit.signing import (
    AuditSigner as AuditSigner,
    Ed25519Signer as Ed25519Signer,
    HmacSigner as HmacSigner,
)
from digitwin.audit.statistics import AuditStatistics as AuditStatistics
from digitwin.cache.statistics import StoreStatistics as StoreStatistics
from digitwin.connecting import connect as connect
from digitwin.conversations.citation import Citation as Citation
from digitwin.conversations.content.totals import (
    UsageSums as UsageSums,
    UsageTotals as UsageTotals,
)
from digitwin.conversations.deletion import session_tag as session_tag
from digitwin.conversations.listing.overview import SessionOverview as SessionOverview
from digitwin.conversations.participant import Participant as Participant
from digitwin.conversations.recorder.flushing import RecorderHealth as RecorderHealth
from digitwin.conversations.recorder.recorder import TurnRecorder as TurnRecorder
from digitwin.conversations.retention.preview import (
    RetentionPreview as RetentionPreview,
    TierPreview as TierPreview,
)
from digitwin.conversations.search.hits import TurnHit as TurnHit
from digitwin.conversations.statistics import (
    SessionStatistics as SessionStatistics,
    StageStatistics as StageStatistics,
)
from digitwin.database import Database as Database
from digitwin.errors import (
    AlreadyExistsError as AlreadyExistsError,
    BufferFullError as BufferFullError,
    ClosedError as ClosedError,
    ConfigurationError as ConfigurationError,
    ConnectionFailedError as ConnectionFailedError,
    ConsentRequiredError as ConsentRequiredError,
    DigiTwinError as DigiTwinError,
    InvalidInputError as InvalidInputError,
    InvalidStateError as InvalidStateError,
    KeyUnavailableError as KeyUnavailableError,
    MigrationRequiredError as MigrationRequiredError,
    NotFoundError as NotFoundError,
    OutcomeUnknownError as OutcomeUnknownError,
    PoolTimeoutError as PoolTimeoutError,
    QueryTimeoutError as QueryTimeoutError,
    RateLimitedError as RateLimitedError,
    ReadOnlyServerError as ReadOnlyServerError,
    SchemaChangedError as SchemaChangedError,
    ScopeRequiredError as ScopeRequiredError,
    ServerExhaustedError as ServerExhaustedError,
    StaleVersionError as StaleVersionError,
    StatementFailedError as StatementFailedError,
    UnsupportedServerError as UnsupportedServerError,
)
from digitwin.handle.health import Health as Health, PoolHealth as PoolHealth
from digitwin.handle.scopes import ServiceScope as ServiceScope, UserScope as UserScope
from digitwin.kernel.execution.maintenance import MaintenanceReport as MaintenanceReport
from digitwin.kernel.primitives.ids import uuid7 as uuid7
from digitwin.kernel.repository.paging import Page as Page
from digitwin.keys.keyring import KeyRing as KeyRing
from digitwin.keys.ports import (
    KeyService as KeyService,
    KeyStore as KeyStore,
    StoredKey as StoredKey,
)
from digitwin.keys.rotation import RotationReport as RotationReport
from digitwin.knowledge.leases import Lease as Lease
from digitwin.knowledge.results import (
    DocumentStatistics as DocumentStatistics,
    SearchHit as SearchHit,
)
from digitwin.limits.decision import (
    Ask as Ask,
    Decision as Decision,
    EndpointUsage as EndpointUsage,
    JointDecision as JointDecision,
)
from digitwin.limits.reservation import Reservation as Reservation
from digitwin.memories.memory import Memory as Memory, MemoryHit as MemoryHit
from digitwin.memories.operations import (
    DeleteMemory as DeleteMemory,
    FindMemory as FindMemory,
    ListNamespaces as ListNamespaces,
    PutMemory as PutMemory,
    SearchMemories as SearchMemories,
)
from digitwin.policies import Policy as Policy
from digitwin.privacy.artifacts import Artifact as Artifact, ArtifactDeleter as ArtifactDeleter
from digitwin.privacy.erasure_replay import ReplayReport as ReplayReport
from digitwin.privacy.export import Export as Export
from digitwin.privacy.ledger import Ledger as Ledger, LedgerEntry as LedgerEntry
from digitwin.privacy.receipts import ErasureReceipt as ErasureReceipt
from digitwin.privacy.scan import Scan as Scan, Trace as Trace
from digitwin.retention import TierRetention as TierRetention
from digitwin.settings import Settings as Settings
from digitwin.users.models import Deletion as Deletion
