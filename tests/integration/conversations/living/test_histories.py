"""Whatever happens to the turns of a session, in whatever order and from several writers: what is
there is what a small model says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, Phase, event, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from digitwin.connecting import connect
from digitwin.conversations.living.writes import ItemWrite, TurnWrite, UsageWrite
from digitwin.conversations.living.writing import write
from digitwin.database import Database
from digitwin.errors import ConnectionFailedError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7
from tests.support.waiting import UntilWaiting

WRITERS = 4
WEIGHTS = {
    "several_write": 8,
    "open_together": 3,
    "close_beside_writers": 4,
    "amend": 2,
    "flush_and_kill": 3,
    "kill_while_waiting": 1,
    "sweep": 2,
    "end": 1,
    "reopen": 2,
}


@dataclass
class Turn:
    status: str = "open"
    said: Counter[str] = field(default_factory=Counter)
    """Marks of the texts that were appended; each is there once."""


class Histories(RuleBasedStateMachine):
    """One example is the history of one session. Two handles write, and none takes late turns."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        (*self._dbs, self._killed), self._raw = self._run(_open(self.url))
        self._session_id = self._run(_session(self._dbs[0]))
        self._marks = count()
        self._turns: dict[UUID, Turn] = {}
        self._tokens: dict[str, int] = {}
        self._items: set[str] = set()
        self._recorders = {uuid7(): count(1) for _ in range(2)}
        self._ended = False
        self.open_together(Random(0))

    @rule(seed=st.integers(0, 2**32 - 1))
    def something_happens(self, seed: int) -> None:
        """One rule for all: left to choose among rules, Hypothesis hardly tried most of them."""
        dice = Random(seed)
        (act,) = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        event(act)
        getattr(self, act)(dice)

    # What happens

    def several_write(self, dice: Random) -> None:
        """Writers on connections of their own extend the same few turns; each in its own order."""
        turns = dice.choices(list(self._turns), k=2)
        self._run(_all(self._extend(n, dice.choice(turns), dice) for n in range(WRITERS)))

    def open_together(self, dice: Random) -> None:
        """Several open turns, two of them the same one."""
        ids = [uuid7() for _ in range(dice.randint(1, 3))]
        calls = [
            self._db(n).sessions.open_turn(self._session_id, id=id)
            for n, id in enumerate([*ids, ids[0]])
        ]
        if self._accepted(calls):
            self._turns |= {id: Turn() for id in ids}

    def close_beside_writers(self, dice: Random) -> None:
        id = dice.choice(list(self._turns))
        turn, status = self._turns[id], dice.choice(["completed", "interrupted", "abandoned"])
        close = self._db(1).sessions.close_turn(
            id, session_id=self._session_id, status=status, twin_text=(mark := self._mark(9))
        )
        writers = [self._extend(n, id, dice) for n in range(2)]
        closed, *_ = self._run(_all([_outcome(close), *writers]))
        if turn.status in ("open", "abandoned", status) and not self._ended:
            assert not isinstance(closed, Exception), closed
            turn.status, turn.said[mark] = status, 1
        else:
            assert isinstance(closed, InvalidStateError)

    def amend(self, dice: Random) -> None:
        id, interrupted = dice.choice(list(self._turns)), dice.random() < 0.5
        amend = self._db(0).sessions.amend_turn
        self._run(amend(id, session_id=self._session_id, interrupted=interrupted))
        self._turns[id].status = "interrupted" if interrupted else "completed"

    def flush_and_kill(self, dice: Random) -> None:
        """A recorder's connections are killed while it writes; it sends again what is unsure."""
        writer = dice.choice(list(self._recorders))
        sequence, new, old = next(self._recorders[writer]), uuid7(), dice.choice(list(self._turns))
        marks, tokens = (self._mark(7), self._mark(7)), dice.randint(0, 100)
        flush = {
            "turns": [
                TurnWrite(turn_id=old, user_text=marks[0]),
                TurnWrite(turn_id=new, opens=True, user_text=marks[1]),
            ],
            "items": [ItemWrite(kind="custom", turn_id=new, name=marks[1])],
            "usage": [UsageWrite(kind="llm", figures={"input_tokens": tokens})],
            "writer": writer,
            "sequence": sequence,
        }
        stored = False
        for _ in range(dice.randint(1, 2)):  # the second time as after a reply that was lost
            stored = self._run(
                self._until_stored(flush, kills=dice.randint(0, 2), pause=dice.random() / 50)
            )
        if stored:
            self._turns[old].said[marks[0]] = 1
            self._turns[new] = Turn(said=Counter([marks[1]]))
            self._items.add(marks[1])
            self._tokens[marks[1]] = tokens

    def kill_while_waiting(self, dice: Random) -> None:
        """A call is killed while it waits for the session: nothing of it is stored."""
        id = dice.choice(list(self._turns))
        if not self._ended:  # an ended session is refused without waiting
            assert isinstance(self._run(self._killed_behind_a_lock(id)), ConnectionFailedError)

    def sweep(self, dice: Random) -> None:
        """Some open turns have not been written to for long; of an ended session, all are due."""
        open_turns = [id for id, turn in self._turns.items() if turn.status == "open"]
        old = dice.sample(open_turns, dice.randint(0, len(open_turns)))
        self._run(self._raw.execute(_AGE, old))
        self._run(_all(db.maintain() for db in self._dbs))
        for id in open_turns if self._ended else old:
            self._turns[id].status = "abandoned"

    def end(self, dice: Random) -> None:
        self._run(_outcome(self._db(0).sessions.end(self._session_id)))
        self._ended = True

    def reopen(self, dice: Random) -> None:
        outcome = self._run(_outcome(self._db(1).sessions.reopen(self._session_id)))
        assert isinstance(outcome, InvalidStateError) is not self._ended
        self._ended = False

    # What is there

    @invariant()
    def the_session_is_what_the_model_says(self) -> None:
        session = self._run(self._db(0).sessions.with_turns(self._session_id))
        turns = list(session.turns)
        assert [turn.position for turn in turns] == list(range(1, len(self._turns) + 1))
        assert session.turn_count == len(turns)
        assert {turn.id for turn in turns} == set(self._turns)
        for turn in turns:
            known = self._turns[turn.id]
            assert turn.status == known.status
            assert (turn.ended_at is None) is (known.status == "open")
            assert turn.ended_at is None or turn.ended_at >= turn.started_at
            said = _marks(turn.user_text) + _marks(turn.twin_text)
            assert Counter(said) == known.said
            assert _by_writer(_marks(turn.user_text)) == sorted(_marks(turn.user_text), key=_order)

    @invariant()
    def what_is_counted_is_exact(self) -> None:
        items = self._run(self._raw.fetch(_ITEMS, self._session_id))
        assert {row["name"] for row in items} == self._items
        assert len({row["number"] for row in items}) == len(items) == len(self._items)
        tokens = self._run(self._raw.fetchval(_TOKENS, self._session_id))
        assert tokens == sum(self._tokens.values())

    def teardown(self) -> None:
        self._run(_all(each.close() for each in (self._raw, self._killed, *self._dbs)))
        self._runner.close()

    # How

    async def _extend(self, writer: int, id: UUID, dice: Random) -> None:
        """Extend a turn a few times, in order; a repeated item and its costs count once."""
        sessions = self._db(writer).sessions
        for _ in range(dice.randint(1, 3)):
            mark, tokens = self._mark(writer), dice.randint(0, 100)
            item: Any = {"kind": "custom", "item_id": mark, "name": mark}
            call = sessions.extend_turn(
                id, session_id=self._session_id, user_text=mark, items=[item, item]
            )
            if isinstance(await _outcome(call), InvalidStateError):
                assert self._ended
                return
            self._turns[id].said[mark] = 1
            self._items.add(mark)
            usage = [UsageWrite(kind="llm", request_id=mark, figures={"input_tokens": tokens})]
            await _all(self._put(db, usage=usage) for db in self._dbs)
            self._tokens[mark] = tokens

    async def _put(self, db: Database, **what: Any) -> Any:
        key = db.sessions._session_key(self._session_id, None)
        with db._core.working():
            return await write(db._core.db, key, **what)

    async def _until_stored(self, flush: Any, *, kills: int, pause: float) -> bool:
        """Send a flush until its outcome is known, as a recorder does."""
        for attempt in range(30):
            call = asyncio.ensure_future(_outcome(self._put(self._killed, **flush)))
            if attempt < kills:
                await asyncio.sleep(pause)  # anywhere in the statement, or after it
                await self._raw.execute(_KILL)
            outcome = await call
            if not isinstance(outcome, ConnectionFailedError):
                break
        assert isinstance(outcome, InvalidStateError) is self._ended, outcome
        return not self._ended

    async def _killed_behind_a_lock(self, id: UUID) -> Any:
        async with connect(self.url, migrate="skip", application_name="killed") as db:
            holder = await asyncpg.connect(self.url)
            async with holder.transaction():
                await holder.execute(_LOCK, self._session_id)
                items: Any = [{"kind": "custom"}]
                call = db.sessions.extend_turn(
                    id, session_id=self._session_id, user_text="lost", items=items
                )
                task = asyncio.ensure_future(_outcome(call))
                await UntilWaiting(self._raw)()
                await self._raw.execute(_KILL)
                outcome = await task
            await holder.close()
        return outcome

    def _accepted(self, calls: list[Coroutine[Any, Any, Any]]) -> bool:
        outcomes = self._run(_all(map(_outcome, calls)))
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert all(isinstance(error, InvalidStateError) for error in refused), refused
        assert len(refused) == (len(calls) if self._ended else 0)
        return not refused

    def _mark(self, writer: int) -> str:
        return f"{writer}.{next(self._marks)};"

    def _db(self, n: int) -> Database:
        return self._dbs[n % len(self._dbs)]

    def _run(self, call: Any) -> Any:
        return self._runner.run(_awaited(call))


_AGE = """
UPDATE conversation_turns SET updated_at = updated_at - interval '1 day',
    started_at = started_at - interval '2 days', created_at = created_at - interval '2 days'
WHERE id = ANY($1)
"""
_KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'killed'
"""
_LOCK = "SELECT FROM conversation_sessions WHERE id = $1 FOR NO KEY UPDATE"
_ITEMS = "SELECT name, number FROM turn_items WHERE session_id = $1"
_TOKENS = "SELECT coalesce(sum(input_tokens), 0) FROM usage_records WHERE session_id = $1"


def _marks(text: str | None) -> list[str]:
    marks = (text or "").split(";")
    assert marks.pop() == "", "a text was cut"
    return [f"{mark};" for mark in marks]


def _order(mark: str) -> tuple[str, int]:
    writer, _, number = mark[:-1].partition(".")
    return writer, int(number)


def _by_writer(marks: list[str]) -> list[str]:
    """Bring the marks of each writer together, in the order in which they stand."""
    return sorted(marks, key=lambda mark: _order(mark)[0])


async def _awaited(call: Any) -> Any:
    return await call


async def _outcome(call: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await call
    except (InvalidStateError, ConnectionFailedError) as error:
        return error


async def _all(calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))


async def _open(url: str) -> tuple[list[Database], asyncpg.Connection]:
    options: Any = {"migrate": "skip", "late_turns": 0, "session_idle_timeout": 0}
    names = ("one", "other", "killed")
    dbs = [await connect(url, **options, application_name=name, pool_max=6) for name in names]
    return dbs, await asyncpg.connect(url)


async def _session(db: Database) -> UUID:
    user = await db.users.create(email=f"{uuid7()}@example.com", name="Ada")
    return (await db.sessions.start(user.id)).id


def test_every_history_of_a_session_is_what_the_model_says(digitwin_url: str) -> None:
    machine = type("OfTurns", (Histories,), {"url": digitwin_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # making a history shorter takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
