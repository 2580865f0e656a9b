"""Load test: runs recorded conversations through the whole stack.

Models are not called, so the result is the database's share of each reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any
from uuid import UUID

from digitwin.conversations.fields import NewTurn
from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.importing.personas import owner_of
from digitwin.importing.records import Conversation, Record, paired, records
from digitwin.importing.reports import BadRecord, Progress, no_progress
from digitwin.importing.workers import for_each
from digitwin.timing import Stopwatch, Times, timed

BUDGET = 10_000
"""Turns per minute of one twin; high enough that the limiter refuses none."""

LONGEST_QUERY = 4_000
"""Characters of a search query."""


@dataclass(frozen=True, slots=True)
class LoadReplayReport:
    """Counts and latencies of a load test."""

    conversations: int
    turns: int
    denied: int
    operations: int
    seconds: float
    operations_per_second: float
    steps: dict[str, Times]
    bad: list[BadRecord]


async def replay(
    db: Database, path: Path, *, concurrency: int = 8, progress: Progress = no_progress
) -> LoadReplayReport:
    """Run the conversations of a JSON lines file as a load test.

    Each conversation becomes a new session of the user that an import would create; running the
    file again adds the sessions again.

    Args:
        db: the handle.
        path: the file, in the format of ``import_conversations``.
        concurrency: conversations run at once.
        progress: called with the size in bytes of each finished line.

    Returns:
        Counts, and latencies by step.

    Raises:
        OSError: the file cannot be read.
    """
    player = _Player(db, path.name, progress)
    _, seconds = await timed(for_each(records(path), player.take, at_once=concurrency))
    return player.report(seconds)


class _Player:
    def __init__(self, db: Database, source: str, progress: Progress) -> None:
        self._db = db
        self._source = source
        self._progress = progress
        self._watch = Stopwatch()
        self._conversations = self._turns = self._denied = 0
        self._bad: list[BadRecord] = []

    def report(self, seconds: float) -> LoadReplayReport:
        steps = self._watch.times()
        operations = sum(step.count for step in steps.values())
        return LoadReplayReport(
            conversations=self._conversations,
            turns=self._turns,
            denied=self._denied,
            operations=operations,
            seconds=seconds,
            operations_per_second=operations / seconds,
            steps=steps,
            bad=sorted(self._bad, key=lambda bad: bad.line),
        )

    async def take(self, record: Record) -> None:
        try:
            await self._play(record.conversation())
        except InvalidInputError as error:
            self._bad.append(BadRecord(self._source, record.number, error.message))
        self._progress(record.size)

    async def _play(self, conversation: Conversation) -> None:
        db, timing = self._db, self._watch.time
        owner, _ = await timing("user", owner_of(db, conversation["twin_traits"]))
        starting = db.sessions.start(
            owner.id,
            participant=Participant(kind="guest", traits=conversation["user_traits"]),
            metadata={"replay_of": conversation["id"]},
        )
        session = await timing("start", starting)
        for number, turn in enumerate(paired(conversation["turns"]), 1):
            turn["idempotency_key"] = str(number)
            await self._take_turn(owner.id, session.id, turn)
        ending = db.sessions.end(session.id, user_id=owner.id, reason="replayed")
        await timing("end", ending)
        self._conversations += 1

    async def _take_turn(self, owner: UUID, session: UUID, turn: NewTurn) -> None:
        db, timing = self._db, self._watch.time
        consuming = db.limits.consume(owner, "replay", limit=BUDGET, window=60)
        if not await timing("limit", consuming):
            self._denied += 1
            return
        question, answer = turn.get("user_text"), turn.get("twin_text")
        opening = db.sessions.open_turn(
            session,
            user_id=owner,
            user_text=question,
            idempotency_key=turn.get("idempotency_key"),
        )
        opened = await timing("open turn", opening)
        _, seconds = await timed(self._retrieve(owner, question, answer))
        closing = db.sessions.close_turn(
            opened.id,
            session_id=session,
            user_id=owner,
            twin_text=answer,
            timings={"retrieval_ms": round(seconds * 1000)},
        )
        stored = await timing("close turn", closing)
        recording = db.audit.record(
            "turn.add", "conversation_turn", resource_id=str(stored.id), user_id=owner
        )
        await timing("audit", recording)
        self._turns += 1

    async def _retrieve(self, owner: UUID, question: str | None, answer: str | None) -> None:
        """Do the lookups before a model call: embedding, documents, cached response."""
        if question is None:
            return
        cache, timing = self._db.cache, self._watch.time
        key = sha256(question.strip().casefold().encode()).hexdigest()
        embedding = cache.embeddings.get_or_create(key, _factory_of(_embedding(question)))
        await timing("embedding", embedding)
        if question.strip():
            searching = self._db.documents.search(
                question[:LONGEST_QUERY], user_id=owner, audience="visitor", limit=5
            )
            await timing("search", searching)
        if answer is not None:
            response = cache.responses.get_or_create(
                key, _factory_of(answer), user_id=owner, audience="visitor"
            )
            await timing("response", response)


def _factory_of(value: Any) -> Any:
    """Return a cache factory, in place of a model call."""

    async def factory() -> Any:
        return value

    return factory


def _embedding(text: str) -> list[float]:
    """Return 384 numbers derived from the text, in place of a model's embedding."""
    return [byte / 255 for byte in sha512(text.encode()).digest() * 6]
