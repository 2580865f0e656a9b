"""Voice and face models: which exist, and which one is active.

A person has at most one active voice and one active face. The database guarantees it by a
unique index; activations of one person wait for each other, so that none of them fails.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from typing_extensions import Unpack

from digitwin.errors import ConsentRequiredError, InvalidInputError, InvalidStateError
from digitwin.kernel.execution.core import operation, streaming
from digitwin.kernel.primitives.validation import validate
from digitwin.kernel.repository.encrypted_fields import SensitiveRepository
from digitwin.kernel.repository.entities import listed
from digitwin.kernel.repository.paging import Page
from digitwin.kernel.sql.audit_step import numbered as insert, parameters
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import load
from digitwin.likeness.fields import (
    CHANGES,
    FILTERS,
    NEW,
    STEPS,
    ModelChanges,
    ModelFilters,
    NewModel,
    NewModelRow,
)
from digitwin.likeness.models import FaceModel, VoiceModel

M = TypeVar("M", VoiceModel, FaceModel)

queries = load(__package__)


class LikenessRepository(SensitiveRepository[M]):
    """What voice and face models have in common.

    One may be active only while its owner's consent to that is in force (``db.consents``).
    Deleting the active model leaves its owner without one. The deleted row remembers that it
    was active: ``restore`` makes it so again, unless another has become active since.
    """

    purpose: ClassVar[str]
    new, changes, filters = NEW, CHANGES, FILTERS

    @operation
    async def create(self, *, id: UUID | str | None = None, **fields: Unpack[NewModel]) -> M:
        """Store a new model; atomic, with ``is_active=True`` too.

        Args:
            id: a UUID made by the caller, which makes trying again safe.
            **fields: see :class:`NewModel`.

        Raises:
            InvalidInputError: names the field that does not fit.
            NotFoundError: the user is missing or deleted.
            AlreadyExistsError: the id is taken.
            InvalidStateError: ``is_active`` without ``status="ready"``.
            ConsentRequiredError: ``is_active`` without the person's consent.
        """
        if fields.get("is_active") is not True:
            return await self._create(id, fields)
        async with self._core.transaction():
            model = await self._create(id, {**fields, "is_active": False})
            return await self._activate(model.user_id, model.id)

    @operation
    async def create_many(self, rows: Sequence[NewModelRow]) -> list[M]:
        """Store several models, of one or more people, all or none; in the order given.

        Raises:
            As ``create``; also InvalidInputError when two rows of one person are active.
        """
        given = listed(rows)
        wanted = {
            n: self._require_owner(row.get("user_id"))
            for n, row in enumerate(given)
            if row.get("is_active") is True
        }
        if len(set(wanted.values())) < len(wanted):
            raise InvalidInputError("one active model for each person", field="is_active")
        async with self._core.transaction():
            models = await self._create_many(
                {**row, "is_active": False} if n in wanted else row for n, row in enumerate(given)
            )
            for n in sorted(wanted, key=wanted.__getitem__):
                models[n] = await self._activate(wanted[n], models[n].id)
            return models

    @operation
    async def list(
        self,
        *,
        limit: int = 50,
        after: str | None = None,
        include_deleted: bool = False,
        **filters: Unpack[ModelFilters],
    ) -> Page[M]:
        """A page of models, oldest first.

        Args:
            limit: how many, 1 to 1,000.
            after: the ``next_cursor`` of the page before.

        Raises:
            InvalidInputError: a limit, cursor or filter that does not fit.
        """
        return await self._list(filters, limit=limit, after=after, include_deleted=include_deleted)

    @streaming
    def stream(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> AsyncGenerator[M, None]:
        """All that match, oldest first, through a cursor on the server, in constant memory."""
        return self._stream(filters, include_deleted=include_deleted)

    @operation
    async def count(self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]) -> int:
        """How many match."""
        return await self._count(filters, include_deleted=include_deleted)

    @operation
    async def exists(
        self, *, include_deleted: bool = False, **filters: Unpack[ModelFilters]
    ) -> bool:
        """Whether any matches."""
        return await self._exists(filters, include_deleted=include_deleted)

    @operation
    async def update(
        self,
        id: UUID | str,
        *,
        expected_version: int | None = None,
        **changes: Unpack[ModelChanges],
    ) -> M:
        """Change some fields; atomic.

        A status changes only as :data:`STEPS` allows. The active model stays ready: activate
        another, or deactivate it, before it is trained again.

        Raises:
            NotFoundError: there is no such model for this caller.
            StaleVersionError: it no longer has ``expected_version``.
            InvalidStateError: an impossible change of status.
            InvalidInputError: names the field that does not fit.
        """
        given = validate(CHANGES, dict(changes))
        if "status" not in given:
            return await self._update(id, given, expected_version)
        async with self._core.transaction():
            await self._check_step(id, given["status"], expected_version)
            return await self._update(id, given, expected_version)

    @operation
    async def activate(self, id: UUID | str) -> M:
        """Make this the owner's one active model; atomic, and idempotent.

        Two at once leave the later one active, and neither fails.

        Raises:
            NotFoundError: there is no such model for this caller.
            InvalidStateError: it is not ready.
            ConsentRequiredError: its owner's consent is not in force.
        """
        model = await self._get(id, None)
        return await self._activate(model.user_id, model.id)

    @operation
    async def deactivate(self, id: UUID | str) -> M:
        """Leave the owner without an active model, if this is it; idempotent.

        Raises:
            NotFoundError: there is no such model for this caller.
        """
        model = await self._get(id, None)
        record = await self._core.db.fetchrow(
            self._sql("deactivate"), model.user_id, model.id, *parameters().values()
        )
        return await self._get(id, None) if record is None else await self._open(self._row(record))

    @operation
    async def active_for(self, user_id: UUID | str | None = None) -> M | None:
        """The person's active model, or None; ``user_id`` may be left out under ``for_user``.

        None also from the moment at which the person's consent ends.
        """
        owner = self._require_owner(user_id)
        record = await self._core.db.fetchrow(self._sql("active_for"), owner)
        return None if record is None else await self._open(self._row(record))

    @operation
    async def restore(self, id: UUID | str) -> M:
        """Take a deletion back; atomic.

        A model that was active when it was deleted is active again, unless another is by now,
        or the person's consent is not in force any more.

        Raises:
            NotFoundError: there is none, it is not deleted, or its deletion is final.
            InvalidStateError: its owner is deleted.
        """
        model = await self._get(id, None, include_deleted=True)
        async with self._core.transaction():
            await self._wait_turn(model.user_id)
            await self._core.db.execute(self._sql("give_way"), model.user_id, model.id)
            return await self._show(id)

    async def _activate(self, user_id: UUID, id: UUID) -> M:
        db = self._core.db
        async with self._core.transaction():
            await self._wait_turn(user_id)
            if await db.fetchval(self._sql("agreed"), user_id) is None:
                raise self._no_consent(user_id)
            await db.execute(self._sql("retire"), user_id, id, *parameters().values())
            record = await db.fetchrow(self._sql("activate"), user_id, id, *parameters().values())
            if record is None:
                model = await self._get(id, user_id)
                raise InvalidStateError(
                    f"A {self.noun} must be ready to become active; this one is {model.status}",
                    id=str(id),
                    status=model.status,
                )
            return await self._open(self._row(record))

    def _no_consent(self, user_id: UUID) -> ConsentRequiredError:
        return ConsentRequiredError(
            f"The person has not agreed that a {self.noun} is active, or not any more:"
            f' db.consents.grant(user_id, purpose="{self.purpose}", evidence=…)',
            purpose=self.purpose,
            user_id=str(user_id),
        )

    async def _wait_turn(self, user_id: UUID) -> None:
        await self._core.db.execute(self._sql("one_at_a_time"), user_id)

    async def _check_step(self, id: object, status: str, expected_version: object) -> None:
        model = await self._get(id, None)
        row = await self._core.db.fetchrow(self._sql("locked_state"), model.user_id, model.id)
        if row is None:
            raise self._missing(id)
        if expected_version not in (None, row["version"]):
            return  # the update will refuse it: whoever asked knows another status
        now = row["status"]
        if status != now and status not in STEPS[now]:
            raise InvalidStateError(
                f"A {self.noun} cannot go from {now} to {status}", id=str(id), status=now
            )
        if status != "ready" and row["is_active"]:
            raise InvalidStateError(
                f"This {self.noun} is active: deactivate it, or activate another, before it"
                f" is {status}",
                id=str(id),
                status=now,
            )

    def _sql(self, name: str) -> str:
        return _statement(self.model, self.purpose, name)


@cache
def _statement(model: type[Any], purpose: str, name: str) -> str:
    """A named query for one of the two tables."""
    sql: str = queries[name]
    for mark, text in (
        ("{purpose}", purpose),
        ("{table}", model._meta.db_table),
        ("{model}", columns(model)),
        ("{t_model}", columns(model, "t.")),
        ("{activated}", insert(model, "activate", 3, of=", before")),
        ("{deactivated}", insert(model, "deactivate", 3)),
    ):
        sql = sql.replace(mark, text)
    return sql


class VoiceModelRepository(LikenessRepository[VoiceModel]):
    """The voices a twin can speak with."""

    model, noun, purpose = VoiceModel, "voice model", "voice"


class FaceModelRepository(LikenessRepository[FaceModel]):
    """The faces a twin can show."""

    model, noun, purpose = FaceModel, "face model", "face"
