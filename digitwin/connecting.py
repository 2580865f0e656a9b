"""Open a handle: from a URL, from the environment, or on the embedded server."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import digitwin.models  # noqa: F401 - so that opening a handle finds them imported
from digitwin.audit.checkpoints import CheckpointSink
from digitwin.audit.signing import AuditSigner
from digitwin.database import Database
from digitwin.errors import ConfigurationError
from digitwin.handle.services import Services
from digitwin.kernel.connection import dsn
from digitwin.kernel.execution import opening
from digitwin.kernel.orm import active_handle
from digitwin.keys.ports import KeyService, KeyStore
from digitwin.privacy.artifacts import ArtifactDeleter
from digitwin.privacy.ledger import Ledger
from digitwin.servers import embedded
from digitwin.settings import Settings, load_settings


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
        url: the database, in any form libpq accepts. If unset: ``DIGITWIN_DATABASE_URL``,
            ``DATABASE_URL``, else the embedded PostgreSQL (extra ``embedded``).
        settings: replaces the environment and ``.env``.
        key_service: wraps and unwraps people's keys, such as a cloud KMS. Replaces
            ``master_key``.
        key_store: stores people's wrapped keys. Replaces ``key_store_path``.
        audit_signer: signs the seals of the audit trail. Replaces ``audit_key``; keys from the
            settings still verify older seals.
        audit_sink: stores checkpoints of the audit trail outside the database. Replaces
            ``audit_checkpoints``.
        on_artifact_delete: deletes voices, faces and files of sessions from external storage.
        ledger: records erasures outside the database. Replaces ``erasure_ledger``.
        overrides: single fields of :class:`~digitwin.Settings`.

    Returns:
        An object to await or to enter with ``async with``; nothing is opened before that.

    Raises (when awaited or entered):
        ConfigurationError: a setting or the URL is invalid.
        ConnectionFailedError: no connection within ``connect_timeout``.
        ReadOnlyServerError: the server is a standby, and ``target_session_attrs`` does not ask
            for one.
        UnsupportedServerError: the server is older than PostgreSQL 15, or behind a pooler that
            loses prepared statements.
        MigrationRequiredError: the schema does not match this package; the message says what
            to run.
    """
    services = Services(
        key_service, key_store, audit_signer, audit_sink, on_artifact_delete, ledger
    )
    return Opening(url, settings, overrides, services)


class Opening:
    """A handle that is opened when it is awaited or entered."""

    def __init__(
        self,
        url: str | None,
        settings: Settings | None,
        overrides: dict[str, Any],
        services: Services,
    ) -> None:
        self._given = url, settings, overrides
        self._services = services
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
        if url is not None:
            if not issubclass(type(url), str):
                raise ConfigurationError("url must be a string", field="url")
            url = str.__str__(url)
        target = dsn.resolve(settings, url)
        server = None
        if target is None:
            server = await embedded.acquire_by_default(settings)
            target = server.target
        try:
            core = await opening.open_core(target.apply_to(settings), target, roles=_roles)
        except BaseException:
            if server is not None:
                await server.release()
            raise
        try:
            return Database(core, target, server, self._services)
        except BaseException:
            core.pool.terminate()
            active_handle.unregister(core.client)
            if server is not None:
                await server.release()
            raise


def _roles() -> opening.Roles:
    from digitwin import roles  # only handles that upgrade the schema need it

    return roles
