"""Services a handle depends on: passed to ``connect()``, or else created from its settings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from digitwin.audit import signing
from digitwin.audit.checkpoints import CheckpointSink, FileCheckpointSink
from digitwin.audit.sealing import SealingConfig
from digitwin.audit.signing import AuditSigner
from digitwin.kernel.connection import dsn
from digitwin.kernel.execution.core import Core
from digitwin.keys.file_store import FileKeyStore
from digitwin.keys.ports import KeyService, KeyStore
from digitwin.keys.table_store import TableKeyStore
from digitwin.privacy.artifacts import ArtifactDeleter
from digitwin.privacy.ledger import Ledger
from digitwin.servers import embedded


class Services(NamedTuple):
    """Objects that the caller passed to ``connect()``; None: use the settings."""

    key_service: KeyService | None = None
    key_store: KeyStore | None = None
    audit_signer: AuditSigner | None = None
    audit_sink: CheckpointSink | None = None
    on_artifact_delete: ArtifactDeleter | None = None
    ledger: Ledger | None = None


def embedded_home(
    core: Core, target: dsn.Target, server: embedded.EmbeddedServer | None
) -> Path | None:
    """Return the embedded server's folder, which holds its keys; None for another server.

    A handle opened by the URL of the embedded server counts as well.
    """
    return server.home if server else embedded.home_of(target, core.settings.home)


def sealing_for(
    core: Core, home: Path | None, signer: AuditSigner | None, sink: CheckpointSink | None
) -> SealingConfig:
    """How the audit trail is sealed: as given, else as the settings say."""
    settings = core.settings
    signers = signing.signers_of(settings, None if signer else home)
    if signer is not None:
        signers = signing.Signers(signer, signers.known().values())
    if sink is None and settings.audit_checkpoints is not None:
        sink = FileCheckpointSink(settings.audit_checkpoints)
    folder = settings.audit_archive and settings.audit_archive.expanduser()
    return SealingConfig(signers, sink, folder)


def key_store_for(core: Core) -> KeyStore:
    """Return the key store of the settings: the table ``user_keys``, or a folder."""
    folder = core.settings.key_store_path
    return TableKeyStore(core) if folder is None else FileKeyStore(folder)
