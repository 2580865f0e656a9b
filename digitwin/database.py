"""The handle: everything a twin remembers, behind one ``async with``.

This module puts the parts together and knows no SQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from typing_extensions import Unpack

from digitwin.audit import maintenance as audit_maintenance, sealing
from digitwin.audit.repository import AuditLogRepository
from digitwin.cache import maintenance as cache_maintenance
from digitwin.cache.repository import CacheRepository
from digitwin.consents import maintenance as consents_maintenance
from digitwin.consents.repository import ConsentRepository
from digitwin.conversations.repository import ConversationSessionRepository
from digitwin.errors import DigiTwinError
from digitwin.health import Health, PoolHealth
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.core import Core, operation
from digitwin.kernel.execution.maintenance import (
    MaintenanceReport,
    MaintenanceStep,
    Progress,
    log_progress,
    maintain,
)
from digitwin.kernel.migrations import upgrade
from digitwin.kernel.orm import active_handle
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.sql.actor import ActingAs, Who
from digitwin.keys import maintenance as keys_maintenance, master_keys
from digitwin.keys.keyring import KeyRing
from digitwin.knowledge.repository import KnowledgeDocumentRepository
from digitwin.likeness.repository import FaceModelRepository, VoiceModelRepository
from digitwin.limits import maintenance as limits_maintenance
from digitwin.limits.repository import RateLimitRepository
from digitwin.maintenance import background
from digitwin.privacy import maintenance as privacy_maintenance
from digitwin.privacy.repository import Privacy
from digitwin.scopes import PERMITS, Personal, ServiceScope, UserScope
from digitwin.servers import embedded
from digitwin.settings import Settings
from digitwin.users import maintenance as users_maintenance
from digitwin.users.repository import UserRepository
from digitwin.users.retention import DeletionRetention
from digitwin.wiring import Parts, embedded_home, key_store_of, sealing_of


class Database:
    """One open handle. Made by :func:`connect`, usable from every task of its event loop."""

    users: UserRepository
    voices: VoiceModelRepository
    faces: FaceModelRepository
    sessions: ConversationSessionRepository
    documents: KnowledgeDocumentRepository
    consents: ConsentRepository
    cache: CacheRepository
    limits: RateLimitRepository
    audit: AuditLogRepository
    keys: KeyRing
    privacy: Privacy

    def __init__(
        self,
        core: Core,
        target: dsn.Target,
        server: embedded.EmbeddedServer | None,
        parts: Parts = Parts(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._core = core
        self._target = target
        self._server = server
        self._closed: asyncio.Task[None] | None = None
        self.cache = CacheRepository(core, partial(opening.connect_once, core.settings, target))
        self.limits = RateLimitRepository(core)
        home = embedded_home(core, target, server)
        self.audit = AuditLogRepository(
            core, sealing_of(core, home, parts.audit_signer, parts.audit_sink)
        )
        self.keys = KeyRing(
            core,
            parts.key_service or master_keys.service_of(core.settings, home),
            parts.key_store or key_store_of(core),
            self.audit.record,
        )
        self.privacy = Privacy(
            core,
            keys=self.keys,
            cache=self.cache,
            limits=self.limits,
            trail=self.audit,
            ledger=parts.ledger,
            deleter=parts.on_artifact_delete,
        )
        unbound = core.refusing() if core.settings.scope == "required" else core
        personal = Personal(unbound, self.cache, self.keys, None)
        self.users, self.voices, self.faces = personal.users, personal.voices, personal.faces
        self.sessions, self.documents = personal.sessions, personal.documents
        self.consents = personal.consents
        core.client.deleter = self._deleter
        self._background = (
            background(self.maintain, core.settings.maintenance_interval, name="maintenance"),
            background(
                self.audit.seal, core.settings.audit_seal_interval, name="audit sealing", soon=False
            ),
        )
        for task in self._background:
            task.start()

    def _deleter(
        self, scope: Scope, model: type[Any]
    ) -> Callable[[UUID], Coroutine[Any, Any, None]]:
        """How a model deletes itself: as the repository that it came from."""
        core = self._core if scope == UNSCOPED else self._core.scoped(scope)
        personal = Personal(core, self.cache, self.keys, scope.user_id)
        deletable = personal.users, personal.voices, personal.faces, personal.documents
        return next(part.delete for part in deletable if part.model is model)

    @property
    def settings(self) -> Settings:
        """What this handle was opened with."""
        return self._core.settings

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """All or nothing, for what the repositories do inside; a nested one is a savepoint.

        It belongs to the task that opened it. Cache and limiter stay outside.

        Raises:
            PoolTimeoutError: no connection came free within ``acquire_timeout``.
            OutcomeUnknownError: the answer to COMMIT was lost.
            InvalidStateError: used by a task started inside, or an error was swallowed inside.
        """
        return self._core.transaction()

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Make this the handle that models use here, where several are open."""
        token = active_handle.activate(self._core.client)
        try:
            yield
        finally:
            active_handle.deactivate(token)

    def acting_as(self, **who: Unpack[Who]) -> ActingAs:
        """``with`` or ``async with``: who acts inside, as audit records say it.

        It holds for this task and the tasks it starts inside, whatever handle they use. What is
        left out stays as the ``acting_as`` around it said; None takes it back.

        Args:
            **who: ``actor_id`` (not necessarily the person whose data it is), ``ip_address``,
                ``user_agent`` (up to 1,000 characters), ``request_id`` (up to 200).

        Raises:
            InvalidInputError: names the field that does not fit.
        """
        return ActingAs(**who)

    def for_user(self, user_id: UUID | str) -> UserScope:
        """The repositories of personal data, bound to one person; holds no connection.

        Every statement carries the id, and runs as the role ``digitwin_app`` of the database,
        whose row security shows that person's rows alone: a short transaction for each call,
        or one ``async with me.transaction():`` for several. Inside ``db.transaction()`` it
        joins, and whoever comes after it has role and person as before.

        Raises (when used):
            ConfigurationError: the role is missing; it names the command that makes it.
        """
        return UserScope(self._core, self.cache, self.keys, parse_id(user_id, "user_id"))

    def for_service(self, *, reason: str) -> ServiceScope:
        """The repositories of personal data for work across people: sign-up, clean-up.

        Statements run as the role ``digitwin_service`` of the database. That it was used, and
        why, is in the audit trail before the first of them.

        Args:
            reason: why, in a few words; 1 to 500 characters.

        Raises:
            InvalidInputError: ``reason`` does not fit.
            ConfigurationError (when used): the role is missing, or not this login's.
        """
        return ServiceScope(self._core, self.cache, self.keys, self.audit, reason)

    @operation
    async def maintain(self, *, progress: Progress = log_progress) -> MaintenanceReport:
        """Run maintenance once, in small batches beside the traffic.

        The report counts what each step did. Several instances may run it at once.

        Args:
            progress: called as each step begins, with its number, the number of steps and what
                it does.

        Raises:
            DigiTwinError: the first failure, after every step was tried.
        """
        return await maintain(self.maintenance_steps(), progress)

    def maintenance_steps(self) -> list[MaintenanceStep]:
        """The steps of :meth:`maintain`, as the domains declare them."""
        settings = self._core.settings
        deletions = DeletionRetention(self._core, self.cache, self.privacy.before_final)
        return [
            *cache_maintenance.steps(self.cache),
            *limits_maintenance.steps(self.limits, settings.limiter_retention),
            *audit_maintenance.steps(self.audit, settings.audit_retention),
            *consents_maintenance.steps(self._core, PERMITS),
            *users_maintenance.steps(deletions, settings.deletion_retention),
            *privacy_maintenance.steps(self.privacy),
            *keys_maintenance.steps(self.keys),
        ]

    async def health(self) -> Health:
        """A look at server, schema and pool, over a connection of its own; never raises."""
        started = time.perf_counter()
        pool = self._core.pool
        lent = PoolHealth(pool.size, pool.idle, pool.in_use, pool.waiting)
        try:
            connection = await opening.connect_once(self.settings, self._target)
            try:
                state = await upgrade.state(connection)
                version = opening.server_version(connection)
                unsealed = await _unsealed(connection)
            finally:
                await opening.close_once(connection)
        except Exception as error:  # noqa: BLE001 - a probe reports every failure
            return Health(False, None, None, None, None, lent, str(error))
        return Health(
            ok=not self._core.closing,
            latency_ms=(time.perf_counter() - started) * 1000,
            server_version=version,
            schema_version=state.version,
            pending_migrations=len(state.pending),
            pool=lent,
            error="The handle is closing" if self._core.closing else None,
            audit_unsealed_seconds=unsealed,
        )

    async def ready(self) -> bool:
        """Whether the database answers a call now: the cheap form for probes."""
        if self._core.closing:
            return False
        try:
            return await self._core.aside.fetchval("SELECT true") is True
        except DigiTwinError:
            return False

    async def close(self) -> None:
        """Refuse new work, wait for what is under way, write what is buffered, close.

        After ``drain_timeout`` what still runs is cut off. Closing twice is fine.
        """
        if self._closed is None:
            self._closed = asyncio.create_task(self._close())
        await asyncio.shield(self._closed)

    async def _close(self) -> None:
        core = self._core
        drained = await core.drained(core.settings.drain_timeout)
        for task in self._background:
            await task.stop()
        try:
            for part in (self.privacy, self.cache, self.limits):
                await part.close()
        finally:
            if drained:
                await core.pool.close(core.settings.drain_timeout)
            else:
                core.pool.terminate()
            active_handle.unregister(core.client)
            if self._server is not None:
                await self._server.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<digitwin.Database {self._target.display}>"


async def _unsealed(connection: sealing.FetchesValue) -> float | None:
    """None where it cannot be told, as on a login that may not read the trail."""
    try:
        return await sealing.oldest_unsealed(connection)
    except Exception:  # noqa: BLE001 - a probe goes on without a figure
        return None
