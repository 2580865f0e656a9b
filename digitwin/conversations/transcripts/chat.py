"""Histories of language models: stored as conversations, and made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import InstanceOf, TypeAdapter, with_config
from typing_extensions import TypedDict, Unpack

from digitwin.conversations.fields import ExternalId
from digitwin.conversations.participant import Participant
from digitwin.conversations.queries import KNOWN_OWNER
from digitwin.conversations.transcripts import histories, langchain, openai
from digitwin.conversations.transcripts.exporting import HEADER, QUERIES, TranscriptExport
from digitwin.conversations.transcripts.importing import ImportedConversation, TranscriptImport
from digitwin.conversations.transcripts.lines import parsed
from digitwin.conversations.transcripts.messages import Fields, plain_json
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.ids import parse_id, uuid7
from digitwin.kernel.primitives.iterables import listed
from digitwin.kernel.primitives.validation import (
    STRICT,
    Id,
    JsonObject,
    bounded,
    dumps,
    validate,
)

MAX_MESSAGES = 10_000
"""Messages of one history."""


@with_config(STRICT)
class HistoryFields(TypedDict, total=False):
    """What is known of a history besides its messages; as the fields of ``start``."""

    external_id: ExternalId | None
    participant: InstanceOf[Participant] | None
    metadata: JsonObject | None


_FIELDS = TypeAdapter(HistoryFields)
Messages = Sequence[Mapping[str, Any]]


class ChatHistories(TranscriptExport, TranscriptImport):
    """The methods of the session repository that read and write models' formats."""

    @operation
    async def import_openai(
        self, messages: Messages, *, user_id: Id | None = None, **fields: Unpack[HistoryFields]
    ) -> ImportedConversation:
        """Store messages of OpenAI's Chat Completions as a conversation; all or nothing.

        A user's message and what answers it become a turn. What a turn's texts cannot hold
        (tool calls and results, images, names, system messages) is stored as items, with the
        original message in ``payload["openai"]``: :meth:`to_openai` returns the same messages.
        Items of the Responses API are read as well. The session stays active.

        Args:
            messages: up to 10,000 dicts; each up to half a megabyte of JSON.
            user_id: the owner; may be left out under ``for_user``.
            **fields: see :class:`HistoryFields`. If the owner has a session with the
                ``external_id``, nothing is stored.

        Raises:
            InvalidInputError: names the message.
            NotFoundError: the owner does not exist.
        """
        return await self._import_messages(messages, openai.NAME, user_id, fields)

    @operation
    async def import_langchain(
        self, messages: Messages, *, user_id: Id | None = None, **fields: Unpack[HistoryFields]
    ) -> ImportedConversation:
        """Store LangChain's messages, as ``messages_to_dict`` returns them, as a conversation.

        As :meth:`import_openai`; the original message is in ``payload["langchain"]``, and
        ``usage_metadata`` is stored as usage, too.
        """
        return await self._import_messages(messages, langchain.NAME, user_id, fields)

    @operation
    async def to_openai(
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return a conversation as messages for OpenAI's Chat Completions.

        Imported messages are as they were. Otherwise a turn is the user's text, its tool calls
        with their results, and the answer; of an interrupted one, what was heard. Calls without
        a result are left out, since models refuse them.

        Args:
            limit: the newest turns, and what belongs to no turn; all if unset.

        Raises:
            NotFoundError: the session does not exist, or not for this owner.
            InvalidInputError: ``limit`` is below 1.
        """
        return await self._messages(session_id, openai.NAME, user_id, limit)

    @operation
    async def to_langchain(
        self, session_id: Id, *, user_id: Id | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return a conversation as dicts for LangChain's ``messages_from_dict``.

        As :meth:`to_openai`.
        """
        return await self._messages(session_id, langchain.NAME, user_id, limit)

    async def _import_messages(
        self, messages: object, format: str, user_id: object, fields: HistoryFields
    ) -> ImportedConversation:
        owner = self._require_owner(user_id)
        given = listed(messages, "messages", at_most=MAX_MESSAGES, of="messages")
        lines = [*_session(validate(_FIELDS, fields))]
        read = [_read(format, n, message) for n, message in enumerate(given)]
        rows = histories.rows_of(read, format)
        lines += [dumps({"type": kind, **row}) for kind, row in rows]
        lines.append(dumps({"type": "end"}))
        (done,) = await self.import_lines(lines, user_id=owner)
        return done

    async def _messages(
        self, session_id: object, format: str, user_id: object, limit: object
    ) -> list[Fields]:
        if limit is not None:
            limit = bounded(limit, "limit", at_least=1, at_most=2**31 - 1)
        owner, session = self._owner(user_id), parse_id(session_id, "session_id")
        query = QUERIES["history"]
        if owner is not None:
            query = QUERIES.variant("history", owner=KNOWN_OWNER)
        key = {"user_id": owner, "session_id": session}
        records = await self._core.db.fetch(query, **key, limit=limit)
        if not records:
            raise self._missing(session)
        found: dict[str, list[Fields]] = {"turn": [], "item": []}
        for part, line in records[1:]:
            found[part].append(parsed(line))
        return histories.written(histories.messages_of(found["turn"], found["item"]), format)


def _read(format: str, n: int, message: object) -> Any:
    field = f"messages[{n}]"
    given = plain_json(message, field)
    try:
        return histories.FORMATS[format].read(given)
    except InvalidInputError as error:
        reason = error.message
    raise InvalidInputError(f"{field}: {reason}", field="messages")


def _session(fields: HistoryFields) -> Iterator[str]:
    known = {"external_id": fields.get("external_id"), "metadata": fields.get("metadata")}
    return session_lines(fields.get("participant"), **known)


def session_lines(participant: Participant | None, **session: Any) -> Iterator[str]:
    """Yield the first lines of a transcript: the format, the session and its participant."""
    yield HEADER
    speaker = str(uuid7())
    if participant is not None:
        session["participant_id"] = speaker
    known = {name: value for name, value in session.items() if value is not None}
    yield dumps({"type": "session", **known})
    if participant is not None:
        told = {"kind": participant.kind, "ref": participant.ref, "name": participant.name}
        about = {name: value for name, value in told.items() if value is not None}
        traits = list(participant.traits)
        yield dumps({"type": "participant", "id": speaker, **about, "traits": traits})
