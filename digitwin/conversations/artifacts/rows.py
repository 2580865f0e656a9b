"""The rows of session artifacts, whose address and checksum are encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from digitwin.conversations.contents import SessionArtifact
from digitwin.errors import NotFoundError
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.repository.base import the_only
from digitwin.kernel.repository.consent import CONSENT_IN_FORCE, lock_activation
from digitwin.kernel.repository.encrypted_fields import EncryptedFieldsRepository
from digitwin.kernel.repository.paging import Page, encode_cursor
from digitwin.kernel.repository.ports import ArtifactQueue
from digitwin.kernel.sql.queries import Queries, Query, load

QUERIES = Queries(__package__, table="session_artifacts", consent_in_force=CONSENT_IN_FORCE)
_OWNER = (":user_id::uuid", load(__package__)["owner"])


class ArtifactRows(EncryptedFieldsRepository[SessionArtifact]):
    """Reads and writes the rows; the session's repository validates what is given."""

    model, noun = SessionArtifact, "artifact"

    async def owner_of(self, session_id: UUID, user_id: UUID | None) -> UUID:
        """Return the owner of a session, which is ``user_id`` if the caller knows it.

        Raises:
            NotFoundError: there is no such session.
        """
        key = {"session_id": session_id, **({} if user_id is None else {"user_id": user_id})}
        query = _of_owner("owner_of_session", key, of="session")
        rows = await self._core.db.fetch(query, **key)
        row = the_only(rows, "session", session_id)
        if row is None:
            raise _no_session(session_id)
        owner: UUID = row["user_id"]
        return owner

    async def add(self, values: dict[str, Any], purpose: str | None) -> SessionArtifact | str:
        """Store an artifact, if the consent to ``purpose`` is in force; atomic.

        Returns:
            The artifact, or why there is none: ``session``, ``turn``, ``consent``, ``erased``, or
            ``id`` if that is taken.
        """
        db, owner = self._core.db, values["user_id"]
        row = await self._to_store(values, {**values, "metadata": dumps(values["metadata"])})
        async with self._core.transaction():
            if purpose is not None:  # a renewal of the consent at the same time is seen, too
                await lock_activation(db, "consents", owner)
            session = await db.fetchrow(QUERIES["hold_session"], **_of_session(values))
            if session is None:
                return "session"
            if session["end_reason"] == "participant_erased":
                return "erased"
            record = await db.fetchrow(QUERIES["add"], **row, purpose=purpose)
            if record is not None:
                return await self._decrypt(self._row(record))
            return await self._reason(values, purpose)

    async def _reason(self, values: Mapping[str, Any], purpose: str | None) -> str:
        query, known = QUERIES["reasons"], ("user_id", "session_id", "turn_id")
        given = {name: values[name] for name in known}
        found = await self._core.db.fetchrow(query, **given, purpose=purpose)
        assert found is not None
        if not found["turn_is_there"]:
            return "turn"
        if not found["is_consented"]:
            return "consent"
        return "erased" if found["speaker_was_erased"] else "id"

    async def one(self, id: object, user_id: object) -> SessionArtifact | None:
        """Return an artifact, or None."""
        key = self._key(id, user_id)
        records = await self._core.db.fetch(_of_owner("get", key), **key)
        record = the_only(records, self.noun, key["id"])
        return None if record is None else await self._decrypt(self._row(record))

    async def page(
        self, key: Mapping[str, Any], filters: Mapping[str, Any], limit: int, after: UUID | None
    ) -> Page[SessionArtifact]:
        """Return a page of a session's artifacts, in the order of their ids.

        Raises:
            NotFoundError: there is no such session.
        """
        terms = (
            f" AND kept.{name} IS NULL" if value is None else f" AND kept.{name} = :{name}"
            for name, value in filters.items()
        )
        records = await self._core.db.fetch(
            QUERIES.variant("page", owner=_OWNER[key["user_id"] is None], filters="".join(terms)),
            **key,
            **filters,
            limit=limit + 1,
            after=after,
        )
        if not records:
            raise _no_session(key["session_id"])
        rows = [self._row(record) for record in records if record["id"] is not None]
        more, rows = len(rows) > limit, await self._decrypt_each(rows[:limit])
        return Page(rows, encode_cursor(rows[-1].id) if more else None)

    async def remove(self, id: object, user_id: object, queue: ArtifactQueue) -> None:
        """Queue the artifact's object for deletion and remove its row; atomic.

        Raises:
            NotFoundError: there is no such artifact.
            KeyUnavailableError, InvalidStateError: its address cannot be read.
        """
        key = self._key(id, user_id)
        async with self._core.transaction():
            db = self._core.db
            records = await db.fetch(_of_owner("hold", key), **key)
            record = the_only(records, self.noun, key["id"])
            if record is None:
                raise self._missing(id)
            row = await self._decrypt(self._row(record))
            if row.artifact_uri is not None:
                await queue.queue_one(db, row.id, row.kind, row.artifact_uri)
            await db.execute("SET LOCAL digitwin.allow_hard_delete = 'on'")
            await db.fetchval(QUERIES["remove"], user_id=row.user_id, id=row.id)
            await db.execute("SET LOCAL digitwin.allow_hard_delete = 'off'")


def _of_owner(name: str, key: Mapping[str, Any], of: str = "kept") -> Query:
    """Return a query in the variant for a known or an unknown owner."""
    return QUERIES.variant(name, mine=f" AND {of}.user_id = :user_id" if "user_id" in key else "")


def _of_session(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"user_id": values["user_id"], "session_id": values["session_id"]}


def _no_session(session_id: UUID) -> NotFoundError:
    return NotFoundError("session not found", field="session_id", id=str(session_id))
