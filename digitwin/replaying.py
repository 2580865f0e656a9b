"""Recorded conversations played through the whole stack, as a live service would.

What takes a service its time, the models, is left out: what is measured is the database's
share of each reply.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

BUDGET = 10_000
"""Turns a minute of one twin: far more than anybody says, so that no turn is held up."""

LONGEST_QUERY = 4_000


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long one step took, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Replay:
    """What was played, and how fast."""

    conversations: int
    turns: int
    denied: int
    operations: int
    seconds: float
    operations_per_second: float
    steps: dict[str, StepTimes]
    bad: list[BadRecord]


@dataclass(slots=True)
class Stopwatch:
    """The durations of every step, eight bytes each."""

    _times: dict[str, array[float]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._times.setdefault(name, array("d")).append(time.perf_counter() - began)

    def times(self) -> dict[str, StepTimes]:
        return {name: _summary(sorted(times)) for name, times in self._times.items()}


def _summary(ordered: list[float]) -> StepTimes:
    """Nearest rank: a percentile is a time that was really measured."""

    def percentile(percent: int) -> float:
        return ordered[-(-len(ordered) * percent // 100) - 1] * 1000

    return StepTimes(len(ordered), percentile(50), percentile(95), percentile(99))


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
    began = time.perf_counter()
    await for_each(records(path), player.take, at_once=concurrency)
    return player.report(time.perf_counter() - began)


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
        with self._watch.step("user"):
            owner, _ = await owner_of(self._db, conversation["twin_traits"])
        with self._watch.step("start"):
            session = await self._db.sessions.start(
                owner.id,
                participant=Participant(kind="guest", traits=conversation["user_traits"]),
                metadata={"replay_of": conversation["id"]},
            )
        for number, turn in enumerate(paired(conversation["turns"]), 1):
            turn["idempotency_key"] = str(number)
            await self._take_turn(owner.id, session.id, turn)
        with self._watch.step("end"):
            await self._db.sessions.end(session.id, user_id=owner.id, reason="replayed")
        self._conversations += 1

    async def _take_turn(self, owner: UUID, session: UUID, turn: NewTurn) -> None:
        with self._watch.step("limit"):
            permit = await self._db.limits.consume(owner, "replay", limit=BUDGET, window=60)
        if not permit:
            self._denied += 1
            return
        began = time.perf_counter()
        if (asked := turn.get("user_text")) is not None:
            await self._look_up(owner, asked, turn.get("twin_text"))
        turn["timings"] = {"retrieval_ms": round((time.perf_counter() - began) * 1000)}
        with self._watch.step("turn"):
            stored = await self._db.sessions.add_turn(session, user_id=owner, **turn)
        with self._watch.step("audit"):
            await self._db.audit.record(
                "turn.add", "conversation_turn", resource_id=str(stored.id), user_id=owner
            )
        self._turns += 1

    async def _look_up(self, owner: UUID, asked: str, answer: str | None) -> None:
        """What is known before a model is asked: a vector, knowledge, an answer given before."""
        key = sha256(asked.strip().casefold().encode()).hexdigest()
        with self._watch.step("embedding"):
            await self._db.cache.embeddings.get_or_create(key, _made(_vector(asked)))
        if asked.strip():
            with self._watch.step("search"):
                await self._db.documents.search(
                    asked[:LONGEST_QUERY], user_id=owner, audience="visitor", limit=5
                )
        if answer is not None:
            with self._watch.step("response"):
                await self._db.cache.responses.get_or_create(
                    key, _made(answer), user_id=owner, audience="visitor"
                )


def _made(value: Any) -> Any:
    """A factory for the cache: stands for the model that would have made the value."""

    async def factory() -> Any:
        return value

    return factory


def _vector(text: str) -> list[float]:
    """384 numbers that only this text has, in place of a model's embedding."""
    return [byte / 255 for byte in sha512(text.encode()).digest() * 6]
