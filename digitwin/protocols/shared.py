"""What a handle offers beside personal data: cache, limits, audit trail, export and erasure."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol, Required, TypedDict, Unpack, overload
from uuid import UUID

from digitwin.audit.faults import AuditVerification
from digitwin.audit.fields import Details, Entry, Filters
from digitwin.audit.statistics import AuditStatistics
from digitwin.cache.codecs import Array, Vector
from digitwin.cache.fields import Audience
from digitwin.cache.statistics import StoreStatistics
from digitwin.conversations.participant import Kind
from digitwin.kernel.primitives.validation import Period
from digitwin.kernel.repository.paging import Page
from digitwin.limits.decision import Ask, Decision, EndpointUsage, JointDecision
from digitwin.models import AuditLog
from digitwin.privacy.artifacts import ArtifactDeleter
from digitwin.privacy.erasure_replay import ReplayReport
from digitwin.privacy.export import Export
from digitwin.privacy.receipts import ErasureReceipt
from digitwin.protocols.entities import Id, In_contra, Seconds, T_co


class EntryOwner(TypedDict, total=False):
    """The person of an entry and its audience; both are part of the key."""

    user_id: Id | None
    audience: Audience


class EntryOptions(EntryOwner, total=False):
    """How an entry is stored."""

    ttl: Seconds | None
    tags: Iterable[str]


class CreateOptions(EntryOptions, total=False):
    """How an entry is stored, and replaced when its time is over."""

    stale_while_revalidate: Seconds | None


class CacheStore(Protocol[In_contra, T_co]):
    """A store of ``db.cache``: see :class:`~digitwin.cache.store.Store`."""

    async def get(self, key: str, **owner: Unpack[EntryOwner]) -> T_co | None: ...
    async def get_many(
        self, keys: Iterable[str], **owner: Unpack[EntryOwner]
    ) -> Mapping[str, T_co]: ...
    async def set(self, key: str, value: In_contra, **options: Unpack[EntryOptions]) -> None: ...
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[In_contra]],
        **options: Unpack[CreateOptions],
    ) -> T_co: ...
    async def set_many(
        self, values: Mapping[str, In_contra], **options: Unpack[EntryOptions]
    ) -> None: ...
    async def delete(self, key: str, **owner: Unpack[EntryOwner]) -> bool: ...
    async def delete_many(self, keys: Iterable[str], **owner: Unpack[EntryOwner]) -> int: ...
    async def keys(
        self,
        prefix: str = "",
        *,
        limit: int = 100,
        after: str | None = None,
        **owner: Unpack[EntryOwner],
    ) -> Page[str]: ...
    async def invalidate(self, *, tag: str | None = None, user_id: Id | None = None) -> int: ...


class EmbeddingCacheStore(CacheStore[Vector, list[float]], Protocol):
    """``db.cache.embeddings``: see :class:`~digitwin.cache.embeddings.EmbeddingStore`."""

    @overload
    async def get(
        self, key: str, *, as_numpy: Literal[False] = False, **owner: Unpack[EntryOwner]
    ) -> list[float] | None: ...
    @overload
    async def get(
        self, key: str, *, as_numpy: Literal[True], **owner: Unpack[EntryOwner]
    ) -> Array | None: ...
    @overload
    async def get_many(
        self, keys: Iterable[str], *, as_numpy: Literal[False] = False, **owner: Unpack[EntryOwner]
    ) -> Mapping[str, list[float]]: ...
    @overload
    async def get_many(
        self, keys: Iterable[str], *, as_numpy: Literal[True], **owner: Unpack[EntryOwner]
    ) -> Mapping[str, Array]: ...
    @overload
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[Vector]],
        *,
        as_numpy: Literal[False] = False,
        **options: Unpack[CreateOptions],
    ) -> list[float]: ...
    @overload
    async def get_or_create(
        self,
        key: str,
        factory: Callable[[], Awaitable[Vector]],
        *,
        as_numpy: Literal[True],
        **options: Unpack[CreateOptions],
    ) -> Array: ...


class Cache(Protocol):
    """``db.cache``: see :class:`~digitwin.cache.repository.CacheRepository`."""

    @property
    def embeddings(self) -> EmbeddingCacheStore: ...
    @property
    def searches(self) -> CacheStore[Any, Any]: ...
    @property
    def responses(self) -> CacheStore[Any, Any]: ...
    async def purge_expired(self) -> Mapping[str, int]: ...
    async def make_room(self) -> Mapping[str, int]: ...
    async def statistics(self) -> Mapping[str, StoreStatistics]: ...


class TokenRequest(TypedDict, total=False):
    """The bucket, and the tokens to take."""

    limit: Required[int]
    window: Required[Seconds]
    cost: int


class LeaseRequest(TokenRequest, total=False):
    """The same, with the tokens to take ahead."""

    lease: int | None


class TokenBuckets(Protocol):
    """Takes tokens from a bucket atomically, or none."""

    async def consume(
        self, subject: Id, endpoint: str, **request: Unpack[LeaseRequest]
    ) -> Decision: ...


class Reserved(Protocol):
    """An estimate that was taken: see :class:`~digitwin.Reservation`."""

    @property
    def allowed(self) -> bool: ...
    async def settle(self, actual: int) -> Decision: ...
    async def cancel(self) -> Decision: ...


class Reserves(Awaitable[Reserved], AbstractAsyncContextManager[Reserved], Protocol):
    """A reservation, to be awaited or entered."""


class RateLimits(TokenBuckets, Protocol):
    """``db.limits``: see :class:`~digitwin.limits.repository.RateLimitRepository`."""

    async def peek(
        self, subject: Id, endpoint: str, **request: Unpack[TokenRequest]
    ) -> Decision: ...
    async def require(
        self, subject: Id, endpoint: str, **request: Unpack[LeaseRequest]
    ) -> Decision: ...
    def reserve(
        self, subject: Id, endpoint: str, *, limit: int, window: Seconds, cost: int
    ) -> Reserves: ...
    async def consume_all(self, asks: Iterable[Ask]) -> JointDecision: ...
    async def check(self, user_id: Id, endpoint: str, cost: int = 1) -> JointDecision: ...
    async def reset(
        self, subject: Id, endpoint: str | None = None, *, window: Seconds | None = None
    ) -> int: ...
    async def usage(
        self, subject: Id | None = None, since: datetime | None = None
    ) -> list[EndpointUsage]: ...
    async def purge(self, older_than: Seconds) -> int: ...


class AuditRecorder(Protocol):
    """Adds a record to the audit trail."""

    async def record(self, action: str, resource: str, **details: Unpack[Details]) -> UUID: ...


class AuditTrail(AuditRecorder, Protocol):
    """``db.audit``: see :class:`~digitwin.audit.repository.AuditLogRepository`."""

    async def record_many(self, entries: Iterable[Entry]) -> builtins.list[UUID]: ...
    async def list(
        self, *, limit: int = 50, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page[AuditLog]: ...
    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> AuditStatistics: ...
    def export(
        self, *, after: str | None = None, unsealed: bool = False, **period: Unpack[Period]
    ) -> AsyncGenerator[dict[str, Any], None]: ...
    async def seal(self) -> int: ...
    async def verify(self) -> AuditVerification: ...
    async def purge(self, older_than: Seconds = ...) -> int: ...
    async def prepare(self, *, months: int = ...) -> int: ...


class DataProtection(Protocol):
    """``db.privacy``: see :class:`~digitwin.privacy.repository.Privacy`."""

    def export(self, user_id: Id) -> Export: ...
    def export_participant(
        self,
        *,
        kind: Kind | None = None,
        ref: str | None = None,
        session_id: Id | None = None,
        participant_id: Id | None = None,
    ) -> Export: ...
    async def erase(self, user_id: Id, *, reason: str, verify: bool = False) -> ErasureReceipt: ...
    async def erase_participant(
        self,
        *,
        kind: Kind | None = None,
        ref: str | None = None,
        session_id: Id | None = None,
        participant_id: Id | None = None,
        reason: str,
        keep_answers: bool = False,
    ) -> ErasureReceipt: ...
    async def receipt(self, id: Id) -> ErasureReceipt: ...
    async def receipts(
        self, *, limit: int = 50, after: str | None = None
    ) -> Page[ErasureReceipt]: ...
    async def replay(self) -> ReplayReport: ...
    def on_artifact_delete(self, deleter: ArtifactDeleter) -> ArtifactDeleter: ...
