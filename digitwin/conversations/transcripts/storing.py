"""Stores one conversation of a transcript, in batches, within an open transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from digitwin.conversations.transcripts.copies import copied_id
from digitwin.conversations.transcripts.exporting import QUERIES
from digitwin.conversations.transcripts.parts import (
    CONTENTS,
    ITEM,
    NEVER_LATER,
    PARTICIPANT,
    TURN,
    Part,
)
from digitwin.conversations.transcripts.records import Record, refused
from digitwin.errors import AlreadyExistsError, InvalidInputError
from digitwin.kernel.execution.core import Core
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.primitives.validation import dumps
from digitwin.kernel.repository.base import owner_not_found
from digitwin.kernel.sql.queries import Query

MAX_ROWS: Final = 500
MAX_SIZE: Final = 4 * 1024 * 1024
"""Lines, and their bytes, that are stored together."""
MAX_PARTICIPANTS: Final = 1000
"""Participants of one conversation, which are held until its end."""

_PLACES: Final = {TURN: "position", ITEM: "number"}


class Conversation:
    """A conversation that is being imported.

    Args:
        core: runs the statements.
        owner: whose it becomes.
        first: the line of the session.
    """

    def __init__(self, core: Core, owner: UUID, first: Record) -> None:
        self.id = uuid7()
        self.is_new = True
        self._core = core
        self._owner = owner
        self._first = first
        self._counts: Counter[str] = Counter()
        self._places: Counter[Part] = Counter()
        self._is_open = self._is_copy = False
        self._speakers: dict[UUID, Record] = {}
        self._known: dict[UUID, UUID] = {}
        self._rows: dict[Part, list[Record]] = {part: [] for part in CONTENTS}
        self._held = self._size = 0

    @property
    def turns(self) -> int:
        """How many turns were read."""
        return self._counts[TURN.name]

    async def add(self, record: Record) -> None:
        """Store a line, at the latest with the end."""
        assert record.part is not None
        self._counts[record.part.name] += 1
        if record.part is PARTICIPANT:
            self._add_speaker(record)
            return
        if not self._is_open:
            await self._open()
        if not self.is_new:
            return
        self._place(record)
        self._rows[record.part].append(record)
        self._held += 1
        self._size += record.size
        if self._held >= MAX_ROWS or self._size >= MAX_SIZE:
            await self._flush()

    async def end(self, last: Record) -> None:
        """Store what is left, and the session's counts and status."""
        for name, count in last.row.items():
            if self._counts[name] != count:
                raise refused(last.number, name, f"{name} is not the number of such lines")
        if not self._is_open:
            await self._open()
        if not self.is_new:
            return
        await self._flush()
        session = self._first.row
        values = {
            "participant_id": self._speaker(self._first),
            "turns": self._places[TURN],
            "items": self._places[ITEM],
            "status": session.get("status", "active"),
            "end_reason": session.get("end_reason"),
            "started_at": session.get("started_at"),
            "ended_at": session.get("ended_at"),
        }
        is_timed = values["started_at"] is not None and (
            values["status"] == "active" or values["ended_at"] is not None
        )
        if await self._ask("finish", **values, is_timed=is_timed) is None:
            raise owner_not_found(self._owner)

    def _add_speaker(self, record: Record) -> None:
        if self._is_open:
            raise refused(record.number, "type", "a participant must come before the contents")
        if record.row["id"] in self._speakers:
            raise refused(record.number, "id", "id is given twice", AlreadyExistsError)
        if len(self._speakers) == MAX_PARTICIPANTS:
            reason = f"a conversation has at most {MAX_PARTICIPANTS:,} participants"
            raise refused(record.number, "type", reason, limit=MAX_PARTICIPANTS)
        self._speakers[record.row["id"]] = record

    def _place(self, record: Record) -> None:
        """Give a turn its position, or an item its number, if it has none; check the order."""
        assert record.part is not None
        name = _PLACES.get(record.part)
        if name is None:
            return
        place = record.row.setdefault(name, self._places[record.part] + 1)
        if place <= self._places[record.part] or (
            record.part is TURN and place != self._places[TURN] + 1
        ):
            raise refused(record.number, name, f"{name} must go on from the line before")
        self._places[record.part] = place

    async def _open(self) -> None:
        """Store the session and its participants, unless the owner has it."""
        self._is_open = True
        row = self._first.row
        given: UUID | None = row.get("id")
        ids = [] if given is None else [given, copied_id(self._owner, given)]
        if await self._exists(ids):
            return
        for id in ids or [uuid7()]:
            self.id, self._is_copy = id, id != given and given is not None
            if await self._opened():
                await self._store_speakers()
                return
            if await self._exists(ids):  # a concurrent import stored it
                return
        if not await self._ask("is_alive"):
            raise owner_not_found(self._owner)
        raise refused(self._first.number, "id", "id is already taken", AlreadyExistsError)

    async def _exists(self, ids: list[UUID]) -> bool:
        external_id = self._first.row.get("external_id")
        found = await self._core.db.fetchrow(
            QUERIES["known"], user_id=self._owner, ids=ids, external_id=external_id
        )
        if found is None:
            return False
        if found["is_deleted"] or (ids and found["id"] not in ids):
            field = "id" if found["id"] in ids else "external_id"
            raise refused(
                self._first.number,
                field,
                f"{field} is already taken",
                AlreadyExistsError,
                id=str(found["id"]),
            )
        self.id, self.is_new = found["id"], False
        return True

    async def _opened(self) -> bool:
        row = self._first.row
        names = ("external_id", "voice_model_id", "face_model_id", "started_at", "created_at")
        values = {name: row.get(name) for name in names}
        stored = await self._ask("open", id=self.id, metadata=dumps(row["metadata"]), **values)
        return stored is not None

    async def _store_speakers(self) -> None:
        """Store the participants, each with its own id or, if that is taken, with a copy's."""
        left = dict(self._speakers)
        await self._store_speakers_as({id: id for id in left}, left)
        await self._store_speakers_as({id: copied_id(self._owner, id) for id in left}, left)
        for record in left.values():
            raise refused(record.number, "id", "id is already taken", AlreadyExistsError)

    async def _store_speakers_as(self, ids: Mapping[UUID, UUID], left: dict[UUID, Record]) -> None:
        if not left:
            return
        given = {new: old for old, new in ids.items()}
        rows = dumps([_plain({**record.row, "id": ids[id]}) for id, record in left.items()])
        await self._core.db.execute(QUERIES["speakers"], user_id=self._owner, rows=rows)
        query = QUERIES["known_speakers"]
        for known in await self._core.db.fetch(query, user_id=self._owner, rows=rows):
            id = given[known["given"]]
            self._known[id] = known["id"]
            left.pop(id, None)

    def _speaker(self, record: Record) -> UUID | None:
        given = record.row.get("participant_id")
        if given is not None and given not in self._known:
            reason = "participant_id is not one of the conversation's participants"
            raise refused(record.number, "participant_id", reason)
        return None if given is None else self._known[given]

    def _id(self, id: UUID) -> UUID:
        return copied_id(self._owner, id) if self._is_copy else id

    async def _flush(self) -> None:
        for part, held in self._rows.items():
            if held:
                await self._store(part, held)
                held.clear()
        self._held = self._size = 0

    async def _store(self, part: Part, held: Sequence[Record]) -> None:
        """Store rows together; if the database refuses them, find the one that it refuses."""
        rows = dumps([self._row(part, record) for record in held])
        try:
            async with self._core.transaction():
                await self._insert(part, rows, len(held))
                return
        except (AlreadyExistsError, InvalidInputError) as error:
            reason, kind, field = error.message, type(error), error.details.get("field", "line")
        if len(held) == 1:
            raise refused(held[0].number, field, reason, kind)
        middle = len(held) // 2
        await self._store(part, held[:middle])
        await self._store(part, held[middle:])

    async def _insert(self, part: Part, rows: str, count: int) -> None:
        if await self._ask(_storing(part), rows=rows) != count:
            raise InvalidInputError(
                "turn_id is no turn of the conversation before this line", field="turn_id"
            )

    def _row(self, part: Part, record: Record) -> dict[str, Any]:
        row = dict(record.row)
        row["id"] = self._id(row["id"]) if "id" in row else uuid7()
        if "turn_id" in row:
            row["turn_id"] = self._id(row["turn_id"])
        if part is TURN:
            row["participant_id"] = self._speaker(record)
        return _plain(row)

    async def _ask(self, query: str | Query, **values: Any) -> Any:
        found = QUERIES[query] if isinstance(query, str) else query
        key = {"user_id": self._owner, "session_id": self.id}
        return await self._core.db.fetchval(found, **key, **values)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def _storing(part: Part) -> Query:
    condition = "true"
    if part is not TURN:
        condition = (
            "new.turn_id IS NULL OR EXISTS (SELECT FROM conversation_turns AS turn"
            " WHERE turn.user_id = :user_id AND turn.session_id = :session_id"
            " AND turn.id = new.turn_id)"
        )
    return QUERIES.variant(
        "store",
        table=part.table,
        names=", ".join(part.columns),
        values=", ".join(map(_value, part.columns)),
        condition=condition,
    )


def _value(column: str) -> str:
    if column in NEVER_LATER:
        return f"least(new.{column}, statement_timestamp())"
    if column == "document_id":
        return (
            "(SELECT id FROM knowledge_documents WHERE user_id = :user_id AND id = new.document_id)"
        )
    return f"new.{column}"
