"""How a handle is opened: from a URL, the environment, or on the embedded server."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from digitwin import roles
from digitwin.audit.checkpoints import CheckpointSink
from digitwin.audit.signing import AuditSigner
from digitwin.database import Database
from digitwin.kernel.connection import dsn
from digitwin.kernel.execution import opening
from digitwin.kernel.orm import active_handle
from digitwin.keys.ports import KeyService, KeyStore
from digitwin.privacy.artifacts import ArtifactDeleter
from digitwin.privacy.ledger import Ledger
from digitwin.servers import embedded
from digitwin.settings import Settings, load_settings
from digitwin.wiring import Parts


def connect(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    key_service: KeyService | None = None,
    key_store: KeyStore | None = None,
    audit_signer: AuditSigner | None = None,
    audit_sink: CheckpointSink | None = None,
    on_artifact_delete: ArtifactDeleter | None = None,
    ledger: Ledger | None = None,
    **overrides: Any,
) -> Opening:
    """Open a handle: ``async with digitwin.connect() as db``, or ``db = await digitwin.connect()``.

    Args:
        url: any spelling libpq knows. Left out: ``DIGITWIN_DATABASE_URL``, ``DATABASE_URL``,
            else the embedded PostgreSQL, where the extra ``embedded`` is installed.
        settings: in place of what the environment and ``.env`` say.
        key_service: who holds the master key, such as a cloud's KMS, in place of the settings.
        key_store: where people's wrapped keys are kept, in place of the settings.
        audit_signer: who signs the audit trail's seals; the settings' keys are still believed.
        audit_sink: where their heads are written outside the database.
        on_artifact_delete: deletes voices and faces where they are kept, when somebody is erased.
        ledger: where erasures are entered outside the database, in place of the settings.
        overrides: single fields of :class:`~digitwin.Settings`.

    Raises (when awaited or entered):
        ConfigurationError: a setting or the URL is wrong.
        ConnectionFailedError: no connection within ``connect_timeout``.
        UnsupportedServerError: the server is older than PostgreSQL 15.
        MigrationRequiredError: the schema and this package do not fit; it names the cure.
    """
    parts = Parts(key_service, key_store, audit_signer, audit_sink, on_artifact_delete, ledger)
    return Opening(url, settings, overrides, parts)


class Opening:
    """A handle about to open: await it, or enter it."""

    def __init__(
        self,
        url: str | None,
        settings: Settings | None,
        overrides: dict[str, Any],
        parts: Parts,
    ) -> None:
        self._given = url, settings, overrides
        self._parts = parts
        self._database: Database | None = None

    def __await__(self) -> Generator[Any, None, Database]:
        return self._open().__await__()

    async def __aenter__(self) -> Database:
        self._database = await self._open()
        return self._database

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        if self._database is not None:
            await self._database.close()

    async def _open(self) -> Database:
        url, given, overrides = self._given
        settings = load_settings(given, overrides)
        target = dsn.resolve(settings, url)
        server = None
        if target is None:
            server = await embedded.acquire_by_default(settings)
            target = server.target
        try:
            core = await opening.open_core(target.over(settings), target, prepare=roles.ensure)
        except BaseException:
            if server is not None:
                await server.release()
            raise
        try:
            return Database(core, target, server, self._parts)
        except BaseException:
            core.pool.terminate()
            active_handle.unregister(core.client)
            if server is not None:
                await server.release()
            raise
