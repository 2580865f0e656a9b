"""Scenes of the guest's conversation: rate limit, cache, documents, turns."""

from __future__ import annotations

from typing import Final, TypedDict
from uuid import UUID

from digitwin.conversations.content.fields import NewItem
from digitwin.conversations.fields import Timings
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
    """A turn is recorded as it happens: words, a tool, an interruption, and what it cost."""
    sessions = people.db.sessions
    of: Of = {"session_id": people.session.id, "user_id": people.owner.id}
    opening = sessions.open_turn(**of, user_text="And what is")
    turn = await scene.call("sessions.open_turn", opening)
    scene.tick(f"Turn {turn.position} is open from its first words", turn.status == "open")
    await _tool(people, scene, turn.id)
    for piece in SAID:
        extending = sessions.extend_turn(turn.id, **of, twin_text=piece)
        await scene.call("sessions.extend_turn", extending)
    closing = sessions.close_turn(turn.id, **of, status="interrupted", heard_text=HEARD)
    turn = await scene.call("sessions.close_turn", closing)
    scene.tick(f"{people.guest.name} interrupts turn {turn.position}", turn.status == "interrupted")
    scene.tick(
        f"Said: “{turn.twin_text}” Heard: “{turn.heard_text}”",
        (turn.twin_text, turn.heard_text) == (ANSWER, HEARD),
    )
    await _costs(people, scene, turn.id)
    scene.store("conversation_turns: heard_text beside twin_text, status interrupted")
    scene.store("turn_items: the tool's call and its result")
    await sessions.end(people.session.id, user_id=people.owner.id)


class Of(TypedDict):
    """Which session, and whose."""

    session_id: UUID
    user_id: UUID


async def _tool(people: People, scene: Scene, turn: UUID) -> None:
    """The model calls a tool within the turn; the question goes on meanwhile."""
    sessions = people.db.sessions
    of: Of = {"session_id": people.session.id, "user_id": people.owner.id}
    call: NewItem = {
        "kind": "tool_call",
        "call_id": "call-1",
        "name": "oven_plan",
        "payload": {"arguments": {"day": "Saturday"}},
    }
    result: NewItem = {
        "kind": "tool_result",
        "call_id": "call-1",
        "payload": {"result": {"09:00": "rye"}},
    }
    for item, words in ((call, " there"), (result, " at nine?")):
        extending = sessions.extend_turn(turn, **of, user_text=words, items=[item])
        asked = (await scene.call("sessions.extend_turn", extending)).user_text
    page = await scene.call("sessions.items", sessions.items(turn_id=turn, **of))
    scene.tick(
        f"The twin calls {page.items[0].name} and gets {page.items[1].payload['result']}",
        [item.kind for item in page.items] == ["tool_call", "tool_result"]
        and asked == "And what is there at nine?",
    )


async def _costs(people: People, scene: Scene, turn: UUID) -> None:
    """The providers' figures are added up."""
    sessions, session = people.db.sessions, people.session.id
    for n, tokens in enumerate((180, 260)):
        adding = sessions.add_usage(
            session_id=session,
            turn_id=turn,
            kind="llm",
            model="example-model",
            request_id=f"request-{n}",
            input_tokens=tokens,
            output_tokens=14,
        )
        await scene.call("sessions.add_usage", adding)
    summing = sessions.usage_totals(session_id=session, by=["model"])
    [total] = await scene.call("sessions.usage_totals", summing)
    scene.tick(
        f"Both requests to the model: {total.input_tokens} tokens in, {total.output_tokens} out",
        (total.input_tokens, total.output_tokens) == (440, 28),
    )
