"""Whatever a caller sends to whichever public method: it ends soon, as a method may end.

That is with a result or a ``DigiTwinError`` that repeats none of the values. The methods are found
by introspection, so that a new one takes part by itself. A longer run, with other values::

    DIGITWIN_TEST_HOSTILE_EXAMPLES=500 make test PYTEST_ARGS="-n 0 tests/integration/hostile_calls"
"""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from digitwin import Ask, Database, Policy, connect
from digitwin.kernel.primitives.ids import uuid7
from tests.integration.hostile_calls.calls import Method, fault_of, methods_of
from tests.integration.hostile_calls.values import GENERATED, HOSTILE

EXAMPLES = int(os.environ.get("DIGITWIN_TEST_HOSTILE_EXAMPLES", "6"))
"""In each, every parameter of every method gets one hostile value."""

_REMOVES = {"destroy", "erase", "hard_delete", "delete"}
"""Called with ids of nobody, or the others would soon meet nothing but missing rows."""


async def _factory() -> dict[str, int]:
    return {"one": 1}


class World:
    """A handle on a database with one row of each kind, and a valid value for each parameter."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def fill(self) -> None:
        db = self.db
        ada = await db.users.create(email="ada@example.com", name="Ada")
        await db.consents.grant(ada.id, purpose="voice", evidence="said so")
        voice = await db.voices.create(user_id=ada.id, name="Warm", artifact_uri="s3://voice")
        face = await db.faces.create(user_id=ada.id, name="Smile")
        document = await db.documents.create(user_id=ada.id, title="Hours", content="From nine")
        session = await db.sessions.start(ada.id)
        turn = await db.sessions.add_turn(session.id, user_text="When?")
        self._ids = {
            "users": ada.id,
            "voices": voice.id,
            "faces": face.id,
            "documents": document.id,
            "sessions": session.id,
        }
        self._valid: dict[str, Any] = {
            "action": "made",
            "asks": [Ask("ada", "/talk", 5, 60)],
            "content": "Until five",
            "cost": 1,
            "deleter": print,
            "email": "bob@example.com",
            "endpoint": "/talk",
            "entries": [],
            "error": "broken",
            "evidence": "said so",
            "factory": _factory,
            "items": [{"kind": "message"}],
            "key": "key",
            "keys": ["key"],
            "kind": "guest",
            "lease_seconds": 1,
            "limit": 5,
            "lines": [],
            "messages": [],
            "name": "Bob",
            "new_turns": [],
            "older_than": 86_400,
            "purpose": "voice",
            "query": "opening hours",
            "reason": "asked for it",
            "ref": "web-1",
            "resource": "thing",
            "rows": [],
            "session_id": session.id,
            "subject": "ada",
            "title": "More hours",
            "turn_id": turn.id,
            "user_id": ada.id,
            "user_text": "When?",
            "value": [0.5],
            "values": {"key": [0.5]},
            "window": 60,
            "worker": "one",
        }
        scopes = {
            "db": db,
            "me": db.for_user(ada.id),
            "service": db.for_service(reason="hostile calls"),
        }
        self.methods = [m for path, part in scopes.items() for m in methods_of(part, path)]

    def valid(self, method: Method, parameter: str) -> Any:
        if parameter in ("id", "user_id") and method.name in _REMOVES:
            return uuid7()
        if (method.name, parameter) == ("add_usage", "kind"):
            return "llm"
        if parameter == "id":
            return self._ids.get(method.part, self._ids["users"])
        return self._valid[parameter]

    async def faults(self, dice: Random, generated: list[Any]) -> list[str]:
        """Give every parameter of every method a hostile value once."""
        found = []
        for method in self.methods:
            for parameter in method.parameters:
                hostile = {parameter}
                if dice.random() < 0.2:
                    hostile.add(dice.choice(method.parameters))
                fault = await self._fault(method, hostile, dice, generated)
                if fault is not None:
                    found.append(fault)
        return found

    async def _fault(
        self, method: Method, hostile: set[str], dice: Random, generated: list[Any]
    ) -> str | None:
        arguments: dict[str, Any] = {}
        chosen = {}
        for parameter in sorted(hostile | method.required):
            n = dice.randrange(len(HOSTILE) + len(generated))
            if parameter not in hostile and parameter in self._valid | {"id": None}:
                arguments[parameter] = self.valid(method, parameter)
            else:
                chosen[parameter] = n
                arguments[parameter] = (
                    HOSTILE[n]() if n < len(HOSTILE) else generated[n - len(HOSTILE)]
                )
        in_transaction = dice.random() < 0.1
        async with self.db.transaction() if in_transaction else nullcontext():
            fault = await fault_of(method, arguments)
        return None if fault is None else f"{method.path}, hostile {chosen}: {fault}"


def test_every_public_method_takes_hostile_values(digitwin_url: str) -> None:
    with asyncio.Runner() as runner:
        db = runner.run(_open(digitwin_url))
        world = World(db)
        runner.run(world.fill())

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.integers(0, 2**32 - 1), st.lists(GENERATED, min_size=40, max_size=40))
        def call_all(seed: int, generated: list[Any]) -> None:
            faults = runner.run(world.faults(Random(seed), generated))
            assert not faults, "\n".join(faults)

        try:
            call_all()
        finally:
            runner.run(db.close())


async def _open(url: str) -> Database:
    return await connect(url, migrate="skip", policies=[Policy("/talk", 5, 60)])
