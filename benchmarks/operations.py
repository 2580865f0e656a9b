"""What is measured: the calls of a live conversation, and the targets.

A peer has a method with the operation's name. Its arguments always name the row's owner, whom it
may ignore. Each peer's first result is checked before anything is measured: a peer that does not
do the work is not compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.filling import ANSWER, SESSION, TURNS, USER, Size, identity, vectors

ENDPOINT: Final = "/api/conversations"
LIMIT: Final = 1_000_000
WINDOW: Final = 3600

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Operation:
    """One call.

    Args:
        name: of the peers' method.
        title: for people.
        target: how many times the floor's median digitwin may take with one caller.
        ahead: how many times digitwin's median a peer must take.
        draw: makes the arguments of one call.
        proof: whether a result, with the call's arguments, shows that the work was done.
        durable: whether the commit waits for the disk; a decision of the limiter does not.
    """

    name: str
    title: str
    target: float
    ahead: Mapping[str, float]
    draw: Callable[[random.Random, Size], Arguments]
    proof: Callable[[Any, Arguments], bool] = lambda answer, arguments: True
    durable: bool = True

    def arguments(self, size: Size) -> list[Arguments]:
        """Those of a run, in an order that is the same for every peer."""
        chance = random.Random(self.name)
        return [self.draw(chance, size) for _ in range(size.drawn)]


def field(row: Any, name: str) -> Any:
    """A field of a model or of a record."""
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
    return len(session) - 1 if isinstance(session, list) else len(session.turns)


_LISTED: Final = [
    Operation(
        "user_by_email",
        "user by e-mail",
        1.5,
        {"psycopg": 2, "tortoise": 3, "sqlalchemy": 5},
        _user,
        lambda user, given: field(user, "email") == given[1],
    ),
    Operation(
        "session_with_turns",
        f"session with {TURNS} turns",
        1.8,
        {"psycopg": 1.4, "tortoise": 3, "sqlalchemy": 4},
        _session,
        lambda session, given: _turns(session) == TURNS,
    ),
    Operation(
        "add_turn",
        "add_turn",
        1.25,
        {"tortoise": 3.5, "sqlalchemy": 4},
        _turn,
        lambda turn, given: field(turn, "position") >= 1,
    ),
    Operation(
        "embedding_get",
        "cache: get an embedding",
        1.3,
        {"psycopg": 1.7},
        lambda chance, size: (f"query-{chance.randrange(size.embeddings)}",),
        lambda vector, given: vector is not None,
    ),
    Operation(
        "embedding_set",
        "cache: set an embedding",
        1.3,
        {"psycopg": 1.7},
        lambda chance, size: (
            f"query-{chance.randrange(size.embeddings)}",
            chance.choice(vectors()),
        ),
    ),
    Operation(
        "response_get",
        "cache: get a response",
        1.3,
        {"psycopg": 1.7},
        lambda chance, size: (f"prompt-{chance.randrange(size.responses)}",),
        lambda response, given: response is not None,
    ),
    Operation(
        "response_set",
        "cache: set a response",
        1.3,
        {"psycopg": 1.7},
        lambda chance, size: (f"prompt-{chance.randrange(size.responses)}", ANSWER),
    ),
    Operation(
        "consume",
        "limits.consume",
        1.3,
        {"throttled": 1},
        lambda chance, size: (str(identity(USER, chance.randrange(size.buckets))),),
        lambda allowed, given: bool(allowed),
        durable=False,
    ),
]
OPERATIONS: Final = {operation.name: operation for operation in _LISTED}
"""In the order of the tables."""
