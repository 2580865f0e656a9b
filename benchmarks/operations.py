"""What is measured, and what is to be reached: the calls of a live conversation, and the targets.

A peer has a method for each operation that it offers. Its arguments always name the row's owner,
whom it may ignore. Each peer's first result is checked before anything is measured: a peer that
does not do the work is not compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.filling import ANSWER, SESSION, TURNS, USER, Size, identity, vectors

ENDPOINT: Final = "/api/conversations"
LIMIT: Final = 1_000_000
WINDOW: Final = 3600
CALLERS: Final = 32
"""Tasks of one process that call at once."""
PROCESSES: Final = 4
CALLERS_OF_EACH: Final = 8

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a target compares.

    Args:
        title: heads the goal's column in a table.
        column: the figure of both, see `benchmarks.results.Figures`.
        other: the peer that ``ours`` is compared with; empty if the figure itself is limited.
        words: says what the found number is.
        bound: whether the target is the most that may be found, or the least.
    """

    title: str
    column: str
    other: str
    words: str
    bound: Literal["at most", "at least"] = "at least"
    ours: str = "digitwin"


GOALS: Final = {
    "held": Goal("held statement", "p50", "floor", "times a held statement", "at most"),
    "bucket": Goal("simple bucket", "p50", "bucket", "times a held simple bucket", "at most"),
    "node": Goal("node-pg", "p50", "node", "times as fast as node-pg"),
    "node_32": Goal("node-pg, 32", "rate", "node", "of node-pg's rate, 32 callers"),
    "psycopg": Goal("psycopg 3", "p50", "psycopg", "times as fast as psycopg 3"),
    "psycopg_32": Goal("psycopg 3, 32", "rate", "psycopg", "of psycopg 3's rate, 32 callers"),
    "scoped": Goal("for_user", "p50", "digitwin", "times the unscoped call", "at most", "scoped"),
    "scoped_32": Goal(
        "for_user, 32", "rate", "digitwin", "of the unscoped rate, 32 callers", ours="scoped"
    ),
    "scoped_4x8": Goal(
        "for_user, 4 × 8", "rate_4x8", "digitwin", "of the unscoped rate, 4 × 8", ours="scoped"
    ),
    "tortoise": Goal("Tortoise", "p50", "tortoise", "times as fast as Tortoise"),
    "sqlalchemy": Goal("SQLAlchemy 2", "p50", "sqlalchemy", "times as fast as SQLAlchemy 2"),
    "redis": Goal("throttled-py", "p50", "throttled", "times as fast as throttled-py on Redis"),
    "p99": Goal("p99, µs", "p99_many", "", "µs, the p99 of all writers", "at most"),
}
"""In the order of the tables."""

FIRST_RESULT: Final = 0.45
"""Seconds that a process may take to its first result, `import digitwin` included."""
CONNECT: Final = 20
"""Milliseconds that `connect()` may take on a running server."""
GROWTH: Final = 1.5
"""How many times its cost in a small table a call may cost in a large one."""


@dataclass(frozen=True)
class Operation:
    """One call.

    Args:
        name: of the peers' method, unless ``method`` names another.
        title: for people.
        targets: by the name of a goal, the number that is to be reached.
        draw: makes the arguments of one call.
        proof: whether a result, with the call's arguments, shows that the work was done.
        durable: whether the commit waits for the disk; a decision of the limiter does not.
        callers: how many call at once where many do.
    """

    name: str
    title: str
    targets: Mapping[str, float]
    draw: Callable[[random.Random, Size], Arguments]
    proof: Callable[[Any, Arguments], bool] = lambda answer, arguments: True
    durable: bool = True
    callers: int = CALLERS
    method: str = ""

    @property
    def call(self) -> str:
        """The name of the peers' method."""
        return self.method or self.name

    def arguments(self, size: Size, part: int = 0) -> list[Arguments]:
        """Those of a run, in an order that is the same for every peer.

        Args:
            part: the number of the process; each begins elsewhere, with other persons.
        """
        chance = random.Random(self.name)
        drawn = [self.draw(chance, size) for _ in range(size.drawn)]
        first = part * size.drawn // PROCESSES
        return drawn[first:] + drawn[:first]


def field(row: Any, name: str) -> Any:
    """A field of a model, of a record or of an object of JSON."""
    return getattr(row, name) if hasattr(row, name) else row[name]


def _user(chance: random.Random, size: Size) -> Arguments:
    n = chance.randrange(size.users)
    return identity(USER, n), f"user-{n}@example.com"


def _session(chance: random.Random, size: Size) -> Arguments:
    n = chance.randrange(size.sessions)
    return identity(USER, n % size.users), identity(SESSION, n)


def _turn(chance: random.Random, size: Size) -> Arguments:
    n = chance.randrange(size.sessions, size.sessions + size.written)
    return identity(USER, n % size.users), identity(SESSION, n), TURN


def one_session(size: Size) -> tuple[Any, Any]:
    """The session that many write to, with its owner."""
    n = size.sessions
    return identity(USER, n % size.users), identity(SESSION, n)


TURN: Final = {
    "user_text": "When are you open, and is there a table by the window on Saturday?",
    "twin_text": "From nine to six; I have put you down for the window table on Saturday at ten. "
    "Shall I send the confirmation to the same address as last time?",
    "timings": {"asr_ms": 80, "llm_first_token_ms": 210, "llm_ms": 480, "first_audio_ms": 390},
    "usage": {"input_tokens": 320, "output_tokens": 60},
}
"""An exchange as it is stored; no value occurs twice, so that each is found again."""


def _turns(session: Any) -> int:
    """How many were loaded; raw records begin with the session's own."""
    if isinstance(session, list):
        return len(session) - 1
    return sum(bool(field(turn, "twin_text")) for turn in field(session, "turns"))


_AHEAD: Final = {"node": 1.05, "node_32": 1, "psycopg": 1.4, "psycopg_32": 1.4}
_SCOPED: Final = {"scoped": 1.25, "scoped_32": 0.75, "scoped_4x8": 0.7}

_LISTED: Final = [
    Operation(
        "user_by_email",
        "user by e-mail",
        {"held": 1.5, **_AHEAD, **_SCOPED, "scoped": 1.4, "tortoise": 3, "sqlalchemy": 5},
        _user,
        lambda user, given: field(user, "email") == given[1],
    ),
    Operation(
        "user_get",
        "users.get",
        {"held": 1.5, **_AHEAD, **_SCOPED},
        _user,
        lambda user, given: str(field(user, "id")) == str(given[0]),
    ),
    Operation(
        "session_with_turns",
        f"session with {TURNS} turns",
        {"held": 1.25, **_AHEAD, "node": 1.2, "psycopg": 1.3, "psycopg_32": 1.3, **_SCOPED}
        | {"tortoise": 3, "sqlalchemy": 4},
        _session,
        lambda session, given: _turns(session) == TURNS,
    ),
    Operation(
        "add_turn",
        "add_turn",
        {"held": 1.25, **_AHEAD, "node": 1.2, **_SCOPED, "tortoise": 3.5, "sqlalchemy": 4},
        _turn,
        lambda turn, given: field(turn, "position") >= 1,
    ),
    Operation(
        "embedding_get",
        "cache: get an embedding",
        {"held": 1.3, **_AHEAD},
        lambda chance, size: (f"query-{chance.randrange(size.embeddings)}",),
        lambda vector, given: vector is not None,
    ),
    Operation(
        "embedding_set",
        "cache: set an embedding",
        {"held": 1.3, **_AHEAD},
        lambda chance, size: (
            f"query-{chance.randrange(size.embeddings)}",
            chance.choice(vectors()),
        ),
    ),
    Operation(
        "response_get",
        "cache: get a response",
        {"held": 1.3, **_AHEAD},
        lambda chance, size: (f"prompt-{chance.randrange(size.responses)}",),
        lambda response, given: response is not None,
    ),
    Operation(
        "response_set",
        "cache: set a response",
        {"held": 1.3, **_AHEAD},
        lambda chance, size: (f"prompt-{chance.randrange(size.responses)}", ANSWER),
    ),
    Operation(
        "consume",
        "limits.consume",
        {"held": 1.3, "bucket": 1.5, **_AHEAD, "redis": 1},
        lambda chance, size: (str(identity(USER, chance.randrange(size.buckets))),),
        lambda allowed, given: bool(allowed),
        durable=False,
    ),
]
OPERATIONS: Final = {operation.name: operation for operation in _LISTED}
"""In the order of the tables."""

ONE_SESSION: Final = Operation(
    "one_session",
    "add_turn on one session",
    {"p99": 150_000},
    lambda chance, size: (*one_session(size), TURN),
    lambda turn, given: field(turn, "position") >= 1,
    callers=50,
    method="add_turn",
)
"""Measured where commits wait for a disk."""
ALL: Final = {**OPERATIONS, ONE_SESSION.name: ONE_SESSION}
