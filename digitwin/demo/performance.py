"""The demo from its first scene to its last, on the embedded server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from digitwin.connecting import connect
from digitwin.database import Database
from digitwin.demo import talk, trials
from digitwin.demo.cast import ANSWER, ENDPOINT, GUEST, QUESTION, Cast
from digitwin.demo.reply import BUDGET, Reply, Share, measure
from digitwin.demo.stage import ClaimFailedError, Scene
from digitwin.errors import DigiTwinError
from digitwin.seeding import ADA, BEN, Seeded, seed

Act = Callable[[Cast, Scene], Awaitable[None]]
Tell = Callable[[int, Scene], None]

UNDERSTUDY = "understudy@demo.example"

SCENES: tuple[tuple[str, Act], ...] = (
    ("A budget, spent", talk.budget),
    ("A cache, missed and then hit", talk.cached),
    ("Knowledge, and what a guest is not shown", talk.knowledge),
    ("A turn, with its timings", talk.turns),
    ("A barge-in", talk.barge_in),
    (f"{trials.WRITERS} writers on one session", trials.crowd),
    ("A person deleted and restored", trials.deletion),
    ("A budget, empty", trials.spent),
    ("The audit trail", trials.trail),
)


@dataclass(slots=True)
class Performance:
    """What was shown, and how it ended."""

    scenes: list[Scene] = field(default_factory=list)
    share: Share | None = None

    @property
    def ok(self) -> bool:
        """Every claim held, to the last."""
        return self.share is not None and all(scene.failure is None for scene in self.scenes)

    def as_dict(self) -> dict[str, Any]:
        """The performance for ``--json``."""
        return {
            "ok": self.ok,
            "steps": [scene.as_dict() for scene in self.scenes],
            "reply": None if self.share is None else asdict(self.share),
        }


class _CurtainError(Exception):
    """A scene failed, and says itself why."""


async def perform(tell: Tell, **overrides: Any) -> Performance:
    """Play scene after scene until one fails; ``tell`` hears of each as it ends.

    Args:
        overrides: fields of ``Settings``; without them, the embedded server and its usual folder.
    """
    shown = Performance()

    @asynccontextmanager
    async def playing(title: str) -> AsyncIterator[Scene]:
        scene = Scene(title)
        shown.scenes.append(scene)
        try:
            yield scene
        except (ClaimFailedError, DigiTwinError) as error:
            scene.failure = str(error)
            raise _CurtainError from None
        finally:
            tell(len(shown.scenes), scene)

    with suppress(_CurtainError):
        async with AsyncExitStack() as stack:
            async with playing("A database of its own") as scene:
                db = await _open(stack, scene, {"embedded": "always", **overrides})
            async with playing("Two people and their twins") as scene:
                cast = await _enter(stack, scene, db)
            for title, act in SCENES:
                async with playing(title) as scene:
                    await act(cast, scene)
            async with playing("A reply, again and again") as scene:
                shown.share = await _reply(cast, scene)
    return shown


async def _open(stack: AsyncExitStack, scene: Scene, settings: dict[str, Any]) -> Database:
    opening = stack.enter_async_context(connect(**settings))
    db = await scene.call("digitwin.connect", opening)
    health = await db.health()
    scene.tick(f"PostgreSQL {health.server_version} runs in {db.settings.home}/", health.ok)
    scene.tick(
        f"Its schema is at version {health.schema_version}; nothing is left to migrate",
        health.pending_migrations == 0,
    )
    return db


async def _enter(stack: AsyncExitStack, scene: Scene, db: Database) -> Cast:
    made = await scene.call("seed", seed(db))
    owner, other = await db.users.get(ADA), await db.users.get(BEN)
    names = [f"{user.name} ({user.subscription_tier})" for user in (owner, other)]
    tiers = {owner.subscription_tier, other.subscription_tier}
    scene.tick(" and ".join(names), tiers == {"free", "pro"})
    again = await scene.call("seed", seed(db))
    scene.tick("Seeded once more, nothing is there twice", again == Seeded())
    added = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in asdict(made).items() if n)
    scene.store(added or "nothing new: they were here before")
    await _dismiss_understudy(db)
    stack.push_async_callback(_dismiss_understudy, db)
    understudy = await db.users.create(email=UNDERSTUDY, name="Understudy")
    session = await db.sessions.start(owner.id, participant=GUEST)
    return Cast(db, owner, understudy, session)


async def _dismiss_understudy(db: Database) -> None:
    left = await db.users.find_by_email(UNDERSTUDY)
    if left is not None:
        await db.users.hard_delete(left.id)


async def _reply(cast: Cast, scene: Scene) -> Share:
    """One reply after the other, as a service makes them; the understudy keeps the turns."""
    db, owner, understudy = cast.db, cast.owner.id, cast.understudy.id
    session = await db.sessions.start(understudy)
    key = "demo:answer"
    await db.cache.embeddings.set(key, talk.EMBEDDING, user_id=understudy)
    await db.cache.responses.set(key, ANSWER, user_id=understudy)
    reply: Reply = {
        ("limits.consume", "may they speak?"): lambda: db.limits.consume(
            str(understudy), ENDPOINT, limit=100_000, window=60
        ),
        ("embeddings.get", "the question as a vector"): lambda: db.cache.embeddings.get(
            key, user_id=understudy
        ),
        ("documents.search", "what the twin knows"): lambda: db.documents.search(
            QUESTION, user_id=owner, audience="visitor"
        ),
        ("responses.get", "an answer given before"): lambda: db.cache.responses.get(
            key, user_id=understudy
        ),
        ("sessions.add_turn", "what was said, how fast"): lambda: db.sessions.add_turn(
            session.id,
            user_id=understudy,
            user_text=QUESTION,
            twin_text=ANSWER,
            timings=talk.TIMINGS,
        ),
        ("audit.record", "who asked"): lambda: db.audit.record(
            "conversation.turn", "conversation_session", resource_id=session.id, user_id=understudy
        ),
    }
    share = await measure(reply)
    await db.limits.reset(str(understudy), ENDPOINT)
    scene.tick(f"The calls of a reply fit into its {BUDGET:g} ms", share.median < BUDGET)
    return share
