"""Whatever is recorded, and wherever it is cut into writes: what is stored is what a model says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.connecting import connect
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7
from tests.integration.conversations.recorder.stored import Stored, stored_in

Step = tuple[Any, ...]
text = st.sampled_from(["a", "bc ", "é", "日本", "\U0001f600"])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("user_text"), text),
    st.tuples(st.just("twin_text"), text),
    st.tuples(st.just("twin_text"), text),
    st.tuples(st.just("heard"), text),
    st.tuples(st.just("interrupted"), st.none() | text),
    st.tuples(st.just("resumed")),
    st.tuples(st.just("turn_done"), st.sampled_from(["completed", "abandoned"])),
    st.tuples(st.just("stage"), st.sampled_from(["asr", "llm_ms"]), st.integers(0, 9)),
    st.tuples(st.just("tool_call"), st.sampled_from("xy")),
    st.tuples(st.just("tool_result"), st.sampled_from("xy")),
    st.tuples(st.just("usage"), st.integers(0, 9)),
    st.tuples(st.just("drain")),
    st.tuples(st.just("flush")),
)


@dataclass
class Turn:
    user: str | None = None
    twin: str | None = None
    heard: str | None = None
    status: str = "open"
    stages: dict[str, int] = field(default_factory=dict)


@dataclass
class Model:
    """The rules, as one would say them."""

    turns: list[Turn] = field(default_factory=list)
    open: Turn | None = None
    items: list[tuple[str, str, int | None]] = field(default_factory=list)
    usage: list[tuple[int, int | None]] = field(default_factory=list)
    early: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int | None] = field(default_factory=dict)

    @property
    def place(self) -> int | None:
        return None if self.open is None else len(self.turns) - 1

    @property
    def latest(self) -> Turn | None:
        return self.open or (self.turns[-1] if self.turns else None)

    def end(self) -> None:
        if self.open is not None and self.open.status == "open":
            self.open.status = "completed" if self.open.twin else "abandoned"
        self.open = None

    def begin(self) -> Turn:
        self.end()
        self.open = Turn(stages=self.early)
        self.early = {}
        self.turns.append(self.open)
        return self.open

    def take(self, step: Step) -> type[Exception] | None:
        """Do what the step says, or return the error that it meets."""
        return getattr(self, step[0], lambda *_: None)(*step[1:])  # type: ignore[no-any-return]

    def user_text(self, text: str) -> None:
        if self.open is not None and self.open.status == "open" and self.open.user:
            self.open.user += f"\n{text}"
        else:
            self.begin().user = text

    def twin_text(self, text: str) -> None:
        turn = self.open or self.begin()
        turn.twin = (turn.twin or "") + text

    def heard(self, text: str) -> type[Exception] | None:
        if self.latest is None:
            return InvalidStateError
        if self.latest.twin is None:
            return InvalidInputError
        self.latest.heard = text
        return None

    def interrupted(self, heard: str | None) -> None:
        if self.latest is not None:
            self.latest.status = "interrupted"
            if heard and self.latest.twin:
                self.latest.heard = heard

    def resumed(self) -> None:
        if self.latest is not None and self.latest.status == "interrupted":
            self.latest.status = "open" if self.open else "completed"
            self.latest.heard = None

    def turn_done(self, status: str) -> None:
        if self.open is not None and self.open.status == "open":
            self.open.status = status
        self.open = None

    def stage(self, stage: str, ms: int) -> None:
        stages = self.early if self.latest is None else self.latest.stages
        stages[f"{stage.removesuffix('_ms')}_ms"] = ms

    def tool_call(self, call: str) -> None:
        self.items.append(("tool_call", call, self.place))
        self.calls[call] = self.place

    def tool_result(self, call: str) -> None:
        self.items.append(("tool_result", call, self.calls.pop(call, self.place)))

    def usage_of(self, tokens: int) -> None:
        self.usage.append((tokens, self.place))


CALLS = {
    "interrupted": lambda recorder, heard: recorder.interrupted(heard=heard),
    "turn_done": lambda recorder, status: recorder.turn_done(status=status),
    "tool_call": lambda recorder, call: recorder.tool_call("t", call_id=call),
    "usage": lambda recorder, tokens: recorder.usage(kind="llm", input_tokens=tokens),
}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=40))
def test_what_is_stored_is_what_the_model_says(digitwin_url: str, steps: list[Step]) -> None:
    asyncio.run(_compare(digitwin_url, steps))


async def _compare(url: str, steps: list[Step]) -> None:
    model = Model()
    raw = await asyncpg.connect(url)
    async with connect(url, migrate="skip", pool_min=0) as db:
        ada = await db.users.create(email=f"{uuid7()}@example.com", name="Ada")
        session = await db.sessions.start(ada.id)
        async with db.for_user(ada.id).recorder(session.id) as recorder:
            for step in steps:
                if step[0] == "usage":
                    model.usage_of(step[1])
                    expected = None
                else:
                    expected = model.take(step)
                assert await _outcome(recorder, step) is expected
        model.end()
        assert _told(await stored_in(raw, session.id)) == _expected(model)
    await raw.close()


async def _outcome(recorder: TurnRecorder, step: Step) -> type[Exception] | None:
    name, *values = step
    if name == "drain":
        assert await recorder.drain()
    elif name == "flush":
        recorder._recorders.hurry(recorder._route)
        await asyncio.sleep(0.001)  # it may be under way when the next step comes
    else:
        call = CALLS.get(name) or (lambda recorder, *values: getattr(recorder, name)(*values))
        try:
            call(recorder, *values)
        except (InvalidInputError, InvalidStateError) as error:
            return type(error)
    return None


def _expected(model: Model) -> tuple[list[Any], ...]:
    turns = [(t.user, t.twin, t.heard, t.status, t.stages) for t in model.turns]
    return turns, model.items, model.usage


def _told(found: Stored) -> tuple[list[Any], ...]:
    places = {turn["id"]: n for n, turn in enumerate(found.turns)}
    places[None] = None  # type: ignore[assignment]
    turns = [
        (
            *(t[name] for name in ("user_text", "twin_text", "heard_text", "status")),
            {name: t[name] for name in ("asr_ms", "llm_ms") if t[name] is not None},
        )
        for t in found.turns
    ]
    items = [(item["kind"], item["call_id"], places[item["turn_id"]]) for item in found.items]
    return turns, items, [(u["input_tokens"], places[u["turn_id"]]) for u in found.usage]
