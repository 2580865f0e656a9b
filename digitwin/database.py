"""The handle: opens and closes everything together, and gives access to the repositories.

This module composes the domains and contains no SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from typing_extensions import Unpack

from digitwin.audit import maintenance as audit_maintenance
from digitwin.audit.repository import AuditLogRepository
from digitwin.cache import maintenance as cache_maintenance
from digitwin.cache.repository import CacheRepository
from digitwin.consents import maintenance as consents_maintenance
from digitwin.consents.repository import ConsentRepository
from digitwin.conversations import maintenance as conversations_maintenance
from digitwin.conversations.recorder.flushing import Recorders
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.conversations.repository import ConversationSessionRepository
from digitwin.conversations.retention import maintenance as retention_maintenance
from digitwin.conversations.retention.archive import SessionExport
from digitwin.conversations.retention.preview import RetentionPreview
from digitwin.conversations.retention.sweep import SessionRetention
from digitwin.handle.health import Health, check_health, is_ready
from digitwin.handle.scopes import PERMITS, PersonalRepositories, ServiceScope, UserScope
from digitwin.handle.services import Services, embedded_home, key_store_for, sealing_for
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.scopes import UNSCOPED, Scope
from digitwin.kernel.execution import opening
from digitwin.kernel.execution.core import Core
from digitwin.kernel.execution.maintenance import (
    MaintenanceReport,
    MaintenanceStep,
    Progress,
    in_background,
    log as maintenance_log,
    maintain,
)
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.orm import active_handle
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import Id
from digitwin.kernel.repository.soft_delete import SoftDeleteRepository
from digitwin.kernel.sql.actor import ActingAs, Who
from digitwin.keys import maintenance as keys_maintenance, master_keys
from digitwin.keys.keyring import KeyRing
from digitwin.knowledge.repository import KnowledgeDocumentRepository
from digitwin.likeness.repository import FaceModelRepository, VoiceModelRepository
from digitwin.limits import maintenance as limits_maintenance
from digitwin.limits.repository import RateLimitRepository
from digitwin.memories import maintenance as memories_maintenance
from digitwin.memories.repository import MemoryRepository
from digitwin.privacy import maintenance as privacy_maintenance
from digitwin.privacy.repository import Privacy
from digitwin.servers import embedded
from digitwin.settings import Settings
from digitwin.users import maintenance as users_maintenance
from digitwin.users.repository import UserRepository
from digitwin.users.retention import DeletionRetention

MAX_SCOPES = 1024
"""Persons whose scope a handle keeps. To make one takes 14 us among other work, a fifth of a short
call."""


class Database:
    """An open handle, created by :func:`connect`; usable from every task of its event loop."""

    users: UserRepository
    voices: VoiceModelRepository
    faces: FaceModelRepository
    sessions: ConversationSessionRepository
    documents: KnowledgeDocumentRepository
    memories: MemoryRepository
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
        services: Services = Services(),  # noqa: B008 - immutable
    ) -> None:
        self._core = core
        self._target = target
        self._server = server
        self._closed: asyncio.Task[None] | None = None
        self.cache = CacheRepository(core, partial(opening.connect_once, core.settings, target))
        self.limits = RateLimitRepository(core)
        home = embedded_home(core, target, server)
        self.audit = AuditLogRepository(
            core, sealing_for(core, home, services.audit_signer, services.audit_sink)
        )
        self.keys = KeyRing(
            core,
            services.key_service or master_keys.service_of(core.settings, home),
            services.key_store or key_store_for(core),
            self.audit.record,
        )
        self.privacy = Privacy(
            core,
            keys=self.keys,
            cache=self.cache,
            limits=self.limits,
            trail=self.audit,
            ledger=services.ledger,
            deleter=services.on_artifact_delete,
        )
        of_person = partial(UserScope, core, self.cache, self.keys, self.privacy.artifacts)
        self._of_person = lru_cache(MAX_SCOPES)(of_person)  # a scope has no state of its own
        unbound = core.refusing() if core.settings.scope == "required" else core
        personal = self._personal(unbound)
        self._recorder_of = personal.recorder
        self.users, self.voices, self.faces = personal.users, personal.voices, personal.faces
        self.sessions, self.documents = personal.sessions, personal.documents
        self.consents, self.memories = personal.consents, personal.memories
        core.client.deleter = self._deleter
        self._background = (
            core.floor,
            in_background(self.maintain, core.settings.maintenance_interval, name="maintenance"),
            in_background(
                self.audit.seal, core.settings.audit_seal_interval, name="audit sealing", soon=False
            ),
        )
        for task in self._background:
            task.start()

    def _deleter(self, scope: Scope, model: type[Any]) -> active_handle.Deleter:
        """Return how a model deletes its rows: through the repository of its class."""
        core = self._core if scope == UNSCOPED else self._core.scoped(scope)
        personal = self._personal(core, scope.user_id)
        parts = vars(personal).values()
        deletable = (part for part in parts if isinstance(part, SoftDeleteRepository))
        repository = next(part for part in deletable if part.model is model)
        return active_handle.Deleter(repository.delete, repository._delete_found)

    def _personal(self, core: Core, user_id: UUID | None = None) -> PersonalRepositories:
        return PersonalRepositories(core, self.cache, self.keys, self.privacy.artifacts, user_id)

    @property
    def settings(self) -> Settings:
        """The settings this handle was opened with."""
        return self._core.settings

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Run everything the repositories do inside in one transaction; nested: a savepoint.

        The transaction belongs to the task that opened it. Cache and limiter do not take part:
        a rollback must not refund tokens.

        Raises:
            PoolTimeoutError: no connection became free within ``acquire_timeout``.
            OutcomeUnknownError: the reply to COMMIT was lost.
            InvalidStateError: used by a task that was started inside it, or after a statement
                inside failed and its error was caught.
            SchemaChangedError: a migration changed a table meanwhile; run the transaction again.
        """
        return self._core.transaction()

    def recorder(
        self,
        session_id: Id,
        *,
        user_id: Id | None = None,
        participant_id: Id | None = None,
        language: str | None = None,
    ) -> TurnRecorder:
        """Return a recorder of a session, to be used in ``async with``.

        What happens in a live conversation is told to it by calls that do not wait. It writes
        them in order, in batches, at most ``recorder_lag`` behind.

        Args:
            session_id: a session that takes turns.
            user_id: the session's owner; a caller who knows it saves a lookup.
            participant_id: who speaks, if not the session's participant: the id of a row of
                ``participants``.
            language: of turns that say no other, up to 35 characters.

        Raises:
            InvalidInputError: names the invalid argument.
        """
        return self._recorder_of(
            session_id, user_id=user_id, participant_id=participant_id, language=language
        )

    def guarding(self, name: str) -> AbstractContextManager[None]:
        """Keep an error of a callback that stores something from the framework that calls it.

        For callbacks without a recorder, see :meth:`TurnRecorder.guarding`. The first of each name
        is logged, by its kind alone; all are counted in ``health().recorders.failed_callbacks``.

        Args:
            name: what is called back, such as the event's name.
        """
        return self._core.shared(Recorders).guarding(name)

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Make this handle the one that models use inside; needed if several handles are open."""
        token = active_handle.activate(self._core.client)
        try:
            yield
        finally:
            active_handle.deactivate(token)

    def acting_as(self, **who: Unpack[Who]) -> ActingAs:
        """Set the actor that audit records name; use with ``with`` or ``async with``.

        Applies to this task and to the tasks it starts inside, for every handle. Nested calls
        inherit the fields they do not set; None clears a field.

        Args:
            **who: ``actor_id`` (may differ from the person whose data it is), ``ip_address``,
                ``user_agent`` (up to 1,000 characters), ``request_id`` (up to 200).

        Raises:
            InvalidInputError: names the invalid field.
        """
        return ActingAs(**who)

    def for_user(self, user_id: UUID | str) -> UserScope:
        """Return the repositories of personal data, bound to one person; holds no connection.

        Every statement filters by the id and runs as the database role ``digitwin_app``, for
        which row security shows only that person's rows. Each statement takes one round trip, as
        without a scope; ``async with me.transaction():`` makes several statements one. Inside
        ``db.transaction()`` a call joins it, and restores role and person afterwards.

        Args:
            user_id: the owner of the twin.

        Raises:
            InvalidInputError: ``user_id`` is not a UUID.
            ConfigurationError: (when used) the role is missing; the message names the command
                that creates it.
        """
        return self._of_person(parse_id(user_id, "user_id"))

    def for_service(self, *, reason: str) -> ServiceScope:
        """Return the repositories of personal data for work across people, such as sign-up.

        Statements run as the database role ``digitwin_service``. The use and its reason are
        recorded in the audit trail before the first statement.

        Args:
            reason: recorded in the audit trail; 1 to 500 characters.

        Raises:
            InvalidInputError: ``reason`` is empty, too long, or not on one line.
            ConfigurationError: (when used) the role is missing, or not granted to this login.
        """
        return ServiceScope(
            self._core, self.cache, self.keys, self.privacy.artifacts, self.audit, reason
        )

    @operation
    async def maintain(self, *, progress: Progress = maintenance_log.debug) -> MaintenanceReport:
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
        """Return the steps of :meth:`maintain`, as the domains declare them."""
        settings = self._core.settings
        retention = self._session_retention()
        before_final = (self.privacy.before_final, retention.before_final)
        deletions = DeletionRetention(self._core, self.cache, before_final)
        return [
            *cache_maintenance.steps(self.cache),
            *limits_maintenance.steps(self.limits, settings.limiter_retention),
            *audit_maintenance.steps(self.audit, settings.audit_retention),
            *consents_maintenance.steps(self._core, PERMITS),
            *conversations_maintenance.steps(self._core),
            *memories_maintenance.steps(self._core),
            *retention_maintenance.steps(retention),
            *users_maintenance.steps(deletions, settings.deletion_retention),
            *privacy_maintenance.steps(self.privacy),
            *keys_maintenance.steps(self.keys),
        ]

    @operation
    async def preview_retention(self) -> RetentionPreview:
        """Return what ``session_retention`` would remove now: sessions, turns and bytes by tier.

        Changes nothing. It reads the rows that would be removed.
        """
        return await self._session_retention().preview()

    def _session_retention(self) -> SessionRetention:
        return SessionRetention(self._core, self.cache, self.privacy.artifacts, self._export_in)

    def _export_in(self, core: Core) -> SessionExport:
        return self._personal(core).sessions.export

    async def health(self) -> Health:
        """Check server, schema and pool over a separate connection; never raises."""
        return await check_health(self._core, self._target)

    async def ready(self) -> bool:
        """Return whether the database answers and accepts writes; one cheap query, for probes.

        Never raises. False too on another event loop and in a process forked from this one.
        """
        return await is_ready(self._core)

    async def close(self) -> None:
        """Refuse new calls, wait for running ones, flush buffered counters, and close.

        Calls still running after ``drain_timeout`` are cut off. Idempotent. In a process forked
        from the one that opened the handle it does nothing.
        """
        if self._core.inherited:
            return
        if self._closed is None:
            self._closed = asyncio.create_task(self._close())
        await asyncio.shield(self._closed)

    async def _close(self) -> None:
        core, patience = self._core, self._core.settings.drain_timeout
        drained, _ = await asyncio.gather(
            core.drained(patience), core.shared(Recorders).close(patience)
        )
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
        """Return the handle; leaving the block closes it.

        Raises:
            ClosedError: the handle is closed or closing.
        """
        with self._core.working():
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
