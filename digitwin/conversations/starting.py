"""Starting sessions: with a new or a returning participant, once for each external id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from typing_extensions import Unpack

from digitwin.conversations.fields import (
    SESSION,
    NewNamedSession,
    NewSession,
    SessionFields,
)
from digitwin.conversations.models import ConversationSession
from digitwin.conversations.participant import Participant
from digitwin.conversations.queries import QUERIES
from digitwin.conversations.turn_log import TurnLog
from digitwin.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.validation import Id, dumps, validate
from digitwin.kernel.repository.entities import refuse_repeated_ids, row_dicts, taken

_NOUNS = {"user_id": "user", "voice_model_id": "voice model", "face_model_id": "face model"}


class SessionStarting(TurnLog):
    """The methods of the session repository that start sessions."""

    @operation
    async def start(
        self, user_id: Id | None = None, *, id: Id | None = None, **fields: Unpack[SessionFields]
    ) -> ConversationSession:
        """Start a session with the twin of ``user_id``; atomic, one round trip.

        A participant of a known kind and ref is reused, also when two sessions start
        concurrently; a name or traits given now replace the stored ones.

        Args:
            user_id: the twin's owner; may be left out under ``for_user``.
            id: a UUID made by the caller, which makes a retry safe.
            **fields: see :class:`SessionFields`.

        Returns:
            The session, ``active`` and without turns.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the owner, or one of the owner's models, is missing or deleted;
                names the field.
            AlreadyExistsError: the owner has a session with this ``external_id``, or the id is
                taken. ``details["id"]`` is the session that has it; an open transaction stays
                usable. :meth:`start_or_get` returns that session instead.
        """
        values = self._new_session({"user_id": user_id, "id": id, **fields})
        if id is None and values["external_id"] is None:
            return await self._start(values)
        try:
            async with self._savepoint():
                return await self._start(values)
        except AlreadyExistsError as error:
            raise await self._taken(error, values) from error

    create = start

    @operation
    async def start_or_get(
        self,
        user_id: Id | None = None,
        *,
        external_id: str,
        id: Id | None = None,
        **fields: Unpack[NewNamedSession],
    ) -> tuple[ConversationSession, bool]:
        """Start a session, or return the owner's session with this ``external_id``; atomic.

        One round trip. Of concurrent calls one starts the session and all return it. An
        existing session is returned as it is, also after its end: the other arguments, the
        participant among them, are ignored. A deleted session has given its name back.

        Args:
            user_id: the twin's owner; may be left out under ``for_user``.
            external_id: the caller's own name for the session, such as a call's id.
            id: the id of a new session.
            **fields: see :class:`NewNamedSession`.

        Returns:
            The session, and whether this call started it.

        Raises:
            InvalidInputError: names the invalid field.
            NotFoundError: the owner, or one of the owner's models, is missing or deleted;
                names the field.
            AlreadyExistsError: ``id`` is taken.
        """
        given = {"user_id": user_id, "id": id, "external_id": external_id, **fields}
        values = self._new_session(given)
        if values["external_id"] is None:
            raise InvalidInputError("external_id is missing", field="external_id")
        send = partial(self._core.db.fetchrow, QUERIES["start_or_get"], **values)
        try:
            async with self._savepoint():
                record = await send()
        except AlreadyExistsError as error:
            if error.details["field"] != "external_id":
                raise await self._taken(error, values) from error
            record = await self._get_started(send, values)
        if record is None:
            raise await self._not_started(values)
        return self._row(record), record["started"]

    @operation
    async def create_many(self, rows: Sequence[NewSession]) -> list[ConversationSession]:
        """Start sessions, all or none.

        Args:
            rows: what ``start`` takes, up to 10,000 times.

        Returns:
            The sessions, in the given order.

        Raises:
            As ``start``.
        """
        new = [self._new_session(row) for row in row_dicts(rows)]
        refuse_repeated_ids(new)
        sessions, values = {}, {}
        try:
            async with self._core.transaction():
                for values in sorted(new, key=_lock_order):
                    sessions[values["id"]] = await self._start(values)
        except AlreadyExistsError as error:
            raise await self._taken(error, values) from error
        return [sessions[values["id"]] for values in new]

    async def _start(self, values: Mapping[str, Any]) -> ConversationSession:
        record = await self._core.db.fetchrow(QUERIES["start"], **values)
        if record is None:
            raise await self._not_started(values)
        return self._row(record)

    async def _get_started(self, send: Any, values: Mapping[str, Any]) -> Any:
        """Send the statement again: the concurrent call's session is committed by now."""
        try:
            async with self._savepoint():
                return await send()
        except AlreadyExistsError as error:  # hidden by a deletion
            raise await self._taken(error, values) from error

    async def _taken(
        self, error: AlreadyExistsError, values: Mapping[str, Any]
    ) -> AlreadyExistsError:
        """Return the error with the id of the session that has the value."""
        field = error.details["field"]
        if field != "external_id":
            return taken(field, values["id"] if field == "id" else None)
        holder = await self._core.db.fetchval(QUERIES["with_external_id"], **values)
        return taken(field, holder)

    def _new_session(self, given: dict[str, Any]) -> dict[str, Any]:
        """Validate a new session and return the values of the statement ``start``."""
        owner, id = self._require_owner(given.pop("user_id", None)), given.pop("id", None)
        fields = validate(SESSION, given)
        return {
            "user_id": owner,
            "id": uuid7() if id is None else parse_id(id),
            "external_id": fields.get("external_id"),
            "voice_model_id": fields.get("voice_model_id"),
            "face_model_id": fields.get("face_model_id"),
            "metadata": dumps(fields.get("metadata") or {}),
            **_participant_values(fields.get("participant")),
        }

    async def _not_started(self, values: Mapping[str, Any]) -> NotFoundError:
        exist = await self._core.db.fetchrow(QUERIES["references_exist"], **values)
        assert exist is not None
        # All may exist by now, for instance after a restore: `start` did not see one of them.
        field = next((field for field in _NOUNS if not exist[field]), "user_id")
        return NotFoundError(f"{_NOUNS[field]} not found", field=field, id=str(values[field]))


def _participant_values(participant: Participant | None) -> dict[str, Any]:
    if participant is None:
        return dict.fromkeys(("participant_id", "kind", "ref", "name", "traits"))
    return {
        "participant_id": uuid7(),
        "kind": participant.kind,
        "ref": participant.ref,
        "name": participant.name,
        "traits": dumps(list(participant.traits)),
    }


def _lock_order(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Order in which participants are locked: the same for all callers, to avoid deadlocks."""
    return str(values["user_id"]), values["kind"] or "", values["ref"] or ""
