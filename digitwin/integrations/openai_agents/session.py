"""The SDK's session: what an agent is told of a conversation, kept as digitwin's turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar
from uuid import UUID

from agents.items import TResponseInputItem
from agents.memory import SessionSettings
from agents.memory.session_settings import coerce_session_settings, resolve_session_limit
from agents.run_context import RunContextWrapper
from pydantic import TypeAdapter

from digitwin.conversations.content.fields import UsageFigures
from digitwin.conversations.fields import SESSION, ExternalId
from digitwin.conversations.participant import Participant
from digitwin.errors import DigiTwinError, InvalidStateError, NotFoundError
from digitwin.integrations.openai_agents.items import PREFIX, exchanges, original
from digitwin.integrations.openai_agents.runs import Run, Runs
from digitwin.integrations.openai_agents.storing import Handle, TurnStore
from digitwin.kernel.primitives.ids import parse_id
from digitwin.kernel.primitives.validation import DEFERRED, Id, validate

T = TypeVar("T")
_NAME: TypeAdapter[str] = TypeAdapter(ExternalId, config=DEFERRED)
ATTEMPTS: Final = 3
"""Of storing items: the session may have ended, or be gone, and so may the run's turn."""
CLOSED: Final = ("completed", "interrupted", "abandoned")
"""States of a turn, as an error tells them; that of a session is another."""


class AgentSession:
    """A conversation of one person's twin: ``Runner.run(agent, "…", session=AgentSession(…))``.

    A user's message opens a turn, what the agent does are its items, and an answer closes it. Each
    item is stored as it is, and returned as it was. The digitwin session has ``session_id`` as its
    ``external_id``; it is started by the first item, and opened again if it has ended.

    One object serves any number of runs, at once too: what they store is in turns of their own,
    which the SDK's retries and the next run find together. A failure to read or store reaches the
    run, since a model must not be asked without what it knows.

    Args:
        db: the handle, or a scope of it; used on its event loop.
        user_id: whose twin it is.
        session_id: the caller's name for the conversation, up to 200 characters.
        participant: who talks to the twin, if the session is started here.
        metadata: of a session that is started here.
        session_settings: the SDK's; ``limit`` is how many items a run is told.

    Raises:
        InvalidInputError: names the invalid argument.
    """

    session_settings: SessionSettings | None = None

    def __init__(
        self,
        db: Handle,
        *,
        user_id: Id,
        session_id: str,
        participant: Participant | None = None,
        metadata: Mapping[str, Any] | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self._db = db
        self._owner = parse_id(user_id, "user_id")
        given = {"participant": participant, "metadata": dict(metadata or {})}
        self._new = validate(SESSION, given)
        self.session_id: str = validate(_NAME, session_id, "session_id")
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())
        self._turns = TurnStore(db, self._owner)
        self._runs = Runs()
        self._found: UUID | None = None

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """Return the newest items, oldest first; none if there is no conversation yet.

        Args:
            limit: how many; None: as the settings say, or all. A negative number is no limit.
            wrapper: the run that asks, which the SDK tells: its own turns come last.

        Raises:
            DigiTwinError: they cannot be read.
        """
        most = resolve_session_limit(limit, self.session_settings)
        if most == 0:
            return []
        asked: dict[str, Any] = {"own_turns": self._runs.own(wrapper), **self._whose}
        if most is not None and most > 0:
            asked["limit"] = min(most, 2**31 - 1)
        rows = await self._existing(lambda id: self._db.sessions.latest_items(id, **asked))
        return [original(row.payload) for row in rows or ()]

    async def add_items(
        self,
        items: list[TResponseInputItem],
        *,
        wrapper: RunContextWrapper[Any] | None = None,
    ) -> None:
        """Append items, all or none, in one transaction.

        Args:
            items: as the SDK has them; each up to 1,048,576 bytes of JSON.
            wrapper: the run that they are of, which the SDK tells.

        Raises:
            InvalidInputError: an item cannot be stored; names it.
            NotFoundError: the owner does not exist.
            InvalidStateError: the session's participant was erased meanwhile.
            DigiTwinError: the database refuses or is away; nothing was stored, unless it is an
                ``OutcomeUnknownError``.
        """
        if not items:
            return
        parts, run = exchanges(items), self._runs.of(wrapper)
        for left in reversed(range(ATTEMPTS)):
            id = await self._started()
            try:
                turns = await self._turns.store(id, run, parts)
            except (NotFoundError, InvalidStateError) as error:
                if not left:
                    raise
                await self._make_room(id, run, error)
            else:
                self._runs.wrote(run, turns)
                break

    async def pop_item(
        self, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> TResponseInputItem | None:
        """Remove the newest item for good and return it; one statement, None if there is none.

        Its words leave the turn as well, and a turn with nothing left is removed.

        Args:
            wrapper: the run that asks, which the SDK tells: items of its own turns come first.

        Raises:
            DigiTwinError: it cannot be removed.
        """
        asked = {"own_turns": self._runs.own(wrapper), **self._whose}
        row = await self._existing(lambda id: self._db.sessions.pop_item(id, **asked))
        if row is None:
            return None
        self._runs.changed(row.turn_id)
        return original(row.payload)

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Delete the conversation: ``db.sessions.restore`` brings it back until that is final.

        The next item starts a new one.

        Raises:
            DigiTwinError: it cannot be deleted.
        """
        await self._existing(self._db.sessions.delete)
        self._forget()

    async def digitwin_session(self) -> UUID | None:
        """Return the id of the digitwin session; None if there is none yet."""
        page = await self._db.sessions.list(
            user_id=self._owner, external_id=self.session_id, limit=1
        )
        self._found = page.items[0].id if page.items else None
        return self._found

    async def add_usage(
        self,
        *,
        wrapper: RunContextWrapper[Any],
        model: str | None = None,
        request_id: str | None = None,
        counts: UsageFigures,
    ) -> None:
        """Store what a request of a run cost, with its turn; see :class:`UsageHooks`.

        Args:
            wrapper: the run.
            model: up to 200 characters.
            request_id: a second record with it is not stored.
            counts: tokens by bucket.

        Raises:
            DigiTwinError: it cannot be stored.
        """
        own = self._runs.own(wrapper)
        await self._db.sessions.add_usage(
            session_id=await self._started(),
            turn_id=own[-1] if own else None,
            user_id=self._owner,
            kind="llm",
            model=model,
            request_id=request_id,
            **counts,
        )

    def guarding(self, name: str) -> AbstractContextManager[None]:
        """As :meth:`Database.guarding`, for hooks of a run."""
        return self._db.guarding(name)

    @property
    def _whose(self) -> dict[str, Any]:
        return {"user_id": self._owner, "prefix": PREFIX}

    async def _existing(self, work: Callable[[UUID], Awaitable[T]]) -> T | None:
        """Do something with the session, unless there is none.

        Another process may have deleted the one that was found before, and begun a new one.
        """
        for known in (self._found, None):
            id = known or await self.digitwin_session()
            if id is None:
                return None
            try:
                return await work(id)
            except NotFoundError:
                self._forget()
        return None

    async def _started(self) -> UUID:
        if self._found is None:
            session, _ = await self._db.sessions.start_or_get(
                self._owner,
                external_id=self.session_id,
                participant=self._new.get("participant"),
                metadata=self._new.get("metadata"),
            )
            self._found = session.id
        return self._found

    async def _make_room(self, id: UUID, run: Run, error: DigiTwinError) -> None:
        """Do what lets items be stored that the session did not take."""
        if error.details.get("field") == "turn_id" or error.details.get("status") in CLOSED:
            run.leave()
        elif isinstance(error, NotFoundError):
            self._forget()
        else:
            try:
                await self._db.sessions.reopen(id, user_id=self._owner)
            except (NotFoundError, InvalidStateError):  # it is open, or nobody can open it
                self._forget()

    def _forget(self) -> None:
        self._found = None
        self._runs.clear()
