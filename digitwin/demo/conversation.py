"""Scenes of the guest's conversation: rate limit, cache, documents, turns."""

from __future__ import annotations

from typing import Final

from digitwin.conversations.fields import Timings
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.demo.people import ANSWER, ENDPOINT, HEARD, PRIVATE, QUESTION, SAID, People
from digitwin.demo.scene import Scene

EMBEDDING: Final = [0.25, -0.5, 0.125, 1.0] * 384
"""1,536 numbers that float32 represents exactly."""
KEY: Final = "demo:question"

TIMINGS: Final = Timings(
    asr_ms=80, retrieval_ms=4, llm_first_token_ms=210, tts_ms=90, first_audio_ms=390
)


async def budget(people: People, scene: Scene) -> None:
    """The guest's request is allowed and consumes one token."""
    limits = people.db.limits
    await limits.reset(people.subject, ENDPOINT)
    decision = await scene.call(
        "limits.consume", limits.consume(people.subject, ENDPOINT, limit=60, window=60)
    )
    scene.tick(
        f"{people.guest.name} may speak: {decision.remaining} of 60 requests per minute are left",
        decision.allowed and decision.remaining == 59,
    )
    scene.store("rate_limits: one row per bucket, however many requests it counts")


async def cached(people: People, scene: Scene) -> None:
    """A cached value is not computed again."""
    embeddings, owner = people.db.cache.embeddings, people.owner.id
    computed: list[str] = []

    async def compute() -> list[float]:
        computed.append(QUESTION)
        return EMBEDDING

    async def look_up() -> list[float]:
        return await embeddings.get_or_create(KEY, compute, user_id=owner, audience="visitor")

    await embeddings.delete(KEY, user_id=owner, audience="visitor")
    first = await scene.call("embeddings.get_or_create", look_up())
    scene.tick("Cache miss: the question's embedding was computed", len(computed) == 1)
    second = await scene.call("embeddings.get_or_create", look_up())
    scene.tick("Cache hit: asked again, nothing was computed", len(computed) == 1)
    scene.tick(f"All {len(second):,} numbers came back unchanged", first == second == EMBEDDING)
    scene.store(f"embedding_cache: {4 * len(EMBEDDING):,} bytes, for one hour, for her visitors")


async def knowledge(people: People, scene: Scene) -> None:
    """The guest finds documents for visitors and no others."""

    async def titles(query: str, audience: str) -> list[str]:
        search = people.db.documents.search(query, user_id=people.owner.id, audience=audience)  # type: ignore[arg-type]
        hits = await scene.call("documents.search", search)
        return [hit.document.title for hit in hits]

    found = await titles(QUESTION, "visitor")
    scene.tick(f"“{QUESTION}” finds “{first(found)}”", first(found) == "Opening hours")
    private = first(await titles(PRIVATE, "owner"))
    scene.tick(f"The owner finds “{private}”", private.startswith("Note to myself"))
    shown = await titles(PRIVATE, "visitor")
    scene.tick(
        f"{people.guest.name} searches for the same and does not find it", private not in shown
    )
    await people.db.audit.record(
        "document.search",
        "document",
        user_id=people.owner.id,
        result="denied",
        metadata={"participant": people.guest.ref},
    )


def first(titles: list[str]) -> str:
    """Return the title of the best hit."""
    return titles[0] if titles else "nothing"


async def turns(people: People, scene: Scene) -> None:
    """A turn is stored once, with its stage timings."""
    sessions, owner = people.db.sessions, people.owner.id
    turn = await scene.call(
        "sessions.add_turn",
        sessions.add_turn(
            people.session.id,
            user_id=owner,
            user_text=QUESTION,
            twin_text=ANSWER,
            timings=TIMINGS,
            usage={"input_tokens": 212, "output_tokens": 14},
            idempotency_key="first",
        ),
    )
    scene.tick("The first turn is stored, with its stage timings", turn.timings == TIMINGS)
    again = await scene.call(
        "sessions.add_turn",
        sessions.add_turn(
            people.session.id,
            user_id=owner,
            user_text=QUESTION,
            twin_text=ANSWER,
            idempotency_key="first",
        ),
    )
    scene.tick("Retried with the same idempotency key, it is still one turn", again.id == turn.id)
    scene.store(f"conversation_turns: position {turn.position}, first sound after 390 ms")


async def barge_in(people: People, scene: Scene) -> None:
    """A recorder is told a turn as it happens: words, a tool, an interruption, and its costs."""
    db, session, owner = people.db, people.session.id, people.owner.id
    async with db.recorder(session, user_id=owner, language="en") as recorder:
        recorder.user_text("And what is there at nine?")  # opens the turn
        recorder.stage("asr", 81)
        _request(recorder, 1, input_tokens=180)
        call = recorder.tool_call("oven_plan", {"day": "Saturday"})
        recorder.tool_result(call, {"09:00": "rye"})
        _request(recorder, 2, input_tokens=260)
        for delta in SAID:
            recorder.twin_text(delta)
        recorder.interrupted(heard=HEARD)
        told = recorder.buffered
        stored = await scene.call("recorder.drain", recorder.drain())
    scene.tick(
        f"No call waited: the recorder held {told} events, then stored all of them",
        stored and told > 0 == recorder.buffered,
    )
    await _recorded(people, scene)
    scene.store("conversation_turns: heard_text beside twin_text, status interrupted")
    scene.store("turn_items: the tool's call and its result; usage_records: both requests")
    await db.sessions.end(session, user_id=owner)


def _request(recorder: TurnRecorder, number: int, *, input_tokens: int) -> None:
    """Tell the recorder what a request to the language model cost."""
    recorder.usage(
        kind="llm",
        model="example-model",
        request_id=f"request-{number}",
        input_tokens=input_tokens,
        output_tokens=14,
    )


async def _recorded(people: People, scene: Scene) -> None:
    """Read the turn again."""
    sessions, session, owner = people.db.sessions, people.session.id, people.owner.id
    reading = sessions.with_turns(session, user_id=owner, limit=1, items=True)
    [turn] = (await scene.call("sessions.with_turns", reading)).turns
    scene.tick(
        f"{people.guest.name} interrupted turn {turn.position}", turn.status == "interrupted"
    )
    scene.tick(
        f"Said: “{turn.twin_text}” Heard: “{turn.heard_text}”",
        (turn.twin_text, turn.heard_text) == (ANSWER, HEARD),
    )
    called, answered = turn.items
    scene.tick(
        f"The twin called {called.name} and got {answered.payload['result']}",
        (called.kind, answered.kind) == ("tool_call", "tool_result"),
    )
    summing = sessions.usage_totals(session_id=session, by=["model"])
    [total] = await scene.call("sessions.usage_totals", summing)
    scene.tick(
        f"{total.records} requests to the model: {total.input_tokens} tokens in,"
        f" {total.output_tokens} out",
        (total.records, total.input_tokens, total.output_tokens) == (2, 440, 28),
    )
