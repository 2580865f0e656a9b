"""Runs the scenes of the demo, on the embedded server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.demo import conversation, crash, edge_cases
from digitwin.demo.people import ANSWER, ENDPOINT, GUEST, QUESTION, People
from digitwin.demo.reply import BUDGET, Reply, Share, measure
from digitwin.demo.scene import ClaimFailedError, Scene
from digitwin.errors import DigiTwinError
from digitwin.seeding import ADA, BEN, Seeded, seed

Action = Callable[[People, Scene], Awaitable[None]]
Show = Callable[[int, Scene], None]

SCRATCH_EMAIL = "scratch@demo.example"

SCENES: tuple[tuple[str, Action], ...] = (
    ("Rate limit", conversation.budget),
    ("Cache: a miss, then a hit", conversation.cached),
    ("Documents: what a guest may find", conversation.knowledge),
    ("A turn with its timings", conversation.turns),
    ("A tool, an interruption and the costs", conversation.barge_in),
    ("A process is killed", crash.crash),
    (f"{edge_cases.WRITERS} writers on one session", edge_cases.crowd),
    ("Soft delete and restore", edge_cases.deletion),
    ("Rate limit exceeded", edge_cases.spent),
    ("Audit trail", edge_cases.trail),
)


@dataclass(slots=True)
class Outcome:
    """Result of the demo."""

    scenes: list[Scene] = field(default_factory=list)
    share: Share | None = None

    @property
    def ok(self) -> bool:
        """Whether every claim held."""
        return self.share is not None and all(scene.failure is None for scene in self.scenes)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "ok": self.ok,
            "steps": [scene.as_dict() for scene in self.scenes],
            "reply": None if self.share is None else asdict(self.share),
        }


class _SceneFailedError(Exception):
    """Ends the demo; the scene contains the reason."""


async def run(show: Show, **overrides: Any) -> Outcome:
    """Run the scenes until one fails.

    Args:
        show: called after each scene, with its number.
        overrides: fields of ``Settings``; default: the embedded server in its default folder.
    """
    shown = Outcome()

    @asynccontextmanager
    async def playing(title: str) -> AsyncIterator[Scene]:
        scene = Scene(title)
        shown.scenes.append(scene)
        try:
            yield scene
        except (ClaimFailedError, DigiTwinError) as error:
            scene.failure = str(error)
            raise _SceneFailedError from None
        finally:
            show(len(shown.scenes), scene)

    with suppress(_SceneFailedError):
        async with AsyncExitStack() as stack:
            async with playing("Open the database") as scene:
                settings = {"embedded": "always", "open_turn_timeout": crash.SOON}
                db = await _open(stack, scene, settings | overrides)
            async with playing("Two users and their twins") as scene:
                people = await _enter(stack, scene, db)
            for title, action in SCENES:
                async with playing(title) as scene:
                    await action(people, scene)
            async with playing("Latency of a reply") as scene:
                shown.share = await _reply(people, scene)
    return shown


async def _open(stack: AsyncExitStack, scene: Scene, settings: dict[str, Any]) -> Database:
    opening = stack.enter_async_context(connect(**settings))
    db = await scene.call("digitwin.connect", opening)
    health = await db.health()
    scene.tick(f"PostgreSQL {health.server_version} runs in {db.settings.home}/", health.ok)
    scene.tick(
        f"The schema is at version {health.schema_version}, no migrations pending",
        health.pending_migrations == 0,
    )
    return db


async def _enter(stack: AsyncExitStack, scene: Scene, db: Database) -> People:
    made = await scene.call("seed", seed(db))
    owner, other = await db.users.get(ADA), await db.users.get(BEN)
    names = [f"{user.name} ({user.subscription_tier})" for user in (owner, other)]
    tiers = {owner.subscription_tier, other.subscription_tier}
    scene.tick(" and ".join(names), tiers == {"free", "pro"})
    again = await scene.call("seed", seed(db))
    scene.tick("Seeding again adds nothing", again == Seeded())
    added = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in asdict(made).items() if n)
    scene.store(added or "nothing new: the data existed")
    await _remove_scratch_user(db)
    stack.push_async_callback(_remove_scratch_user, db)
    scratch_user = await db.users.create(email=SCRATCH_EMAIL, name="Scratch user")
    session = await db.sessions.start(owner.id, participant=GUEST)
    return People(db, owner, scratch_user, session)


async def _remove_scratch_user(db: Database) -> None:
    left = await db.users.find_by_email(SCRATCH_EMAIL)
    if left is not None:
        await db.users.hard_delete(left.id)


async def _reply(people: People, scene: Scene) -> Share:
    """Measure the database calls of a reply, for the scratch user."""
    db, owner, user = people.db, people.owner.id, people.scratch_user.id
    session = await db.sessions.start(user)
    key = "demo:answer"
    await db.cache.embeddings.set(key, conversation.EMBEDDING, user_id=user)
    await db.cache.responses.set(key, ANSWER, user_id=user)
    reply: Reply = {
        ("limits.consume", "rate limit"): lambda: db.limits.consume(
            str(user), ENDPOINT, limit=100_000, window=60
        ),
        ("embeddings.get", "embedding of the question"): lambda: db.cache.embeddings.get(
            key, user_id=user
        ),
        ("documents.search", "document search"): lambda: db.documents.search(
            QUESTION, user_id=owner, audience="visitor"
        ),
        ("responses.get", "cached response"): lambda: db.cache.responses.get(key, user_id=user),
        ("sessions.add_turn", "store the turn"): lambda: db.sessions.add_turn(
            session.id,
            user_id=user,
            user_text=QUESTION,
            twin_text=ANSWER,
            timings=conversation.TIMINGS,
        ),
        ("audit.record", "audit record"): lambda: db.audit.record(
            "conversation.turn", "conversation_session", resource_id=session.id, user_id=user
        ),
    }
    share = await measure(reply)
    await db.limits.reset(str(user), ENDPOINT)
    scene.tick(f"The database calls of a reply fit into {BUDGET:g} ms", share.median < BUDGET)
    return share
