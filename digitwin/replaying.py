"""Recorded conversations played through the whole stack, as a live service would.

What takes a service its time, the models, is left out: what is measured is the database's
share of each reply.
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
"""Turns a minute of one twin: far more than anybody says, so that no turn is held up."""

LONGEST_QUERY = 4_000


@dataclass(frozen=True, slots=True)
class Replay:
    """What was played, and how fast."""

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
) -> Replay:
    """Play the conversations of a file of JSON lines, ``concurrency`` of them at once.

    Each is a session of its own, ended at its end, with the owner an import would give it;
    nothing is skipped when it is played again.

    Args:
        progress: told the bytes of every line that is done.

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

    def report(self, seconds: float) -> Replay:
        steps = self._watch.times()
        operations = sum(step.count for step in steps.values())
        return Replay(
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
        _, seconds = await timed(self._look_up(owner, turn.get("user_text"), turn.get("twin_text")))
        turn["timings"] = {"retrieval_ms": round(seconds * 1000)}
        adding = db.sessions.add_turn(session, user_id=owner, **turn)
        stored = await timing("turn", adding)
        recording = db.audit.record(
            "turn.add", "conversation_turn", resource_id=str(stored.id), user_id=owner
        )
        await timing("audit", recording)
        self._turns += 1

    async def _look_up(self, owner: UUID, asked: str | None, answer: str | None) -> None:
        """What is known before a model is asked: a vector, knowledge, an answer given before."""
        if asked is None:
            return
        cache, timing = self._db.cache, self._watch.time
        key = sha256(asked.strip().casefold().encode()).hexdigest()
        embedding = cache.embeddings.get_or_create(key, _made(_vector(asked)))
        await timing("embedding", embedding)
        if asked.strip():
            searching = self._db.documents.search(
                asked[:LONGEST_QUERY], user_id=owner, audience="visitor", limit=5
            )
            await timing("search", searching)
        if answer is not None:
            response = cache.responses.get_or_create(
                key, _made(answer), user_id=owner, audience="visitor"
            )
            await timing("response", response)


def _made(value: Any) -> Any:
    """A factory for the cache: stands for the model that would have made the value."""

    async def factory() -> Any:
        return value

    return factory


def _vector(text: str) -> list[float]:
    """384 numbers that only this text has, in place of a model's embedding."""
    return [byte / 255 for byte in sha512(text.encode()).digest() * 6]
