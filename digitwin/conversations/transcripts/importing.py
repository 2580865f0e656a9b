"""Import of conversations from JSON lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from digitwin.conversations.models import ConversationSession
from digitwin.conversations.transcripts.parts import SESSION
from digitwin.conversations.transcripts.records import Record, records, refused
from digitwin.conversations.transcripts.storing import Conversation
from digitwin.kernel.execution.operations import operation
from digitwin.kernel.primitives.validation import Id
from digitwin.kernel.repository.entities import EntityRepository

Lines: TypeAlias = Iterable[str | bytes] | AsyncIterable[str | bytes]


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation of an imported file."""

    session_id: UUID
    """The session that holds it; another id than in the file if that one is taken."""
    is_new: bool
    """False: the owner had it already, and nothing was changed."""
    turns: int
    """How many turns the file has of it."""


class TranscriptImport(EntityRepository[ConversationSession]):
    """The method of the session repository that imports conversations."""

    @operation
    async def import_lines(
        self, lines: Lines, *, user_id: Id | None = None
    ) -> list[ImportedConversation]:
        """Store the conversations of a transcript; each whole or not at all.

        Texts, items, usage, sources, facts of artifacts, order and times are as in the file.
        Reads as it stores, in constant memory; a conversation is one transaction, which an
        iterator that uses this handle joins. What the owner has already, by its id or else its
        external id, is left as it is: an import can be repeated.

        Ids are kept, unless they are taken by another person's conversation: then all of the
        conversation's ids are new ones, which derive from the owner and the old ones. A
        participant whom the owner knows by kind and ref is not changed. References to models and
        documents that the owner does not have are left out.

        Args:
            lines: what :meth:`export` yields, or an open file; text or bytes.
            user_id: the owner; may be left out under ``for_user``.

        Returns:
            The conversations, in the file's order.

        Raises:
            InvalidInputError: a line is invalid; names the ``line`` and the ``field``.
                Conversations before it are stored.
            AlreadyExistsError: an id, or an ``external_id`` of the owner's, is taken; names both
                as above.
            NotFoundError: the owner does not exist.
        """
        owner = self._require_owner(user_id)
        done: list[ImportedConversation] = []
        async with aclosing(records(lines)) as found:
            async for record in found:
                if record.part is not SESSION:
                    raise refused(record.number, "type", "a session must come first")
                done.append(await self._import(owner, record, found))
        return done

    async def _import(
        self, owner: UUID, first: Record, rest: AsyncGenerator[Record, None]
    ) -> ImportedConversation:
        async with self._core.transaction():
            conversation = Conversation(self._core, owner, first)
            last = first.number
            async for record in rest:
                last = record.number
                if record.part is SESSION:
                    break
                if record.part is not None:
                    await conversation.add(record)
                    continue
                await conversation.end(record)
                return ImportedConversation(
                    conversation.id, conversation.is_new, conversation.turns
                )
            raise refused(last, "type", "the conversation has no end: the file was cut short")
