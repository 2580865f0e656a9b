"""The example data: a baker on the pro tier and a guitar teacher on the free tier."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

from digitwin.conversations.content.fields import NewItem
from digitwin.conversations.fields import NewTurn
from digitwin.conversations.participant import Participant
from digitwin.kernel.primitives.ids import floor_id

Row: TypeAlias = dict[str, Any]

_FIRST = floor_id(datetime(2026, 1, 1, tzinfo=UTC)).int | 0x7 << 76 | 0b10 << 62


def _id(number: int) -> UUID:
    """Return a fixed version 7 id, so that every run creates the same rows."""
    return UUID(int=_FIRST + number)


ADA, BEN = _id(1), _id(2)

USERS: list[Row] = [
    {
        "id": ADA,
        "email": "ada@example.com",
        "name": "Ada Winter",
        "personality_traits": ["warm", "curious", "dry humour"],
        "settings": {"language": "en", "voice_speed": 1.0, "greeting": "Good morning!"},
        "subscription_tier": "pro",
    },
    {
        "id": BEN,
        "email": "ben@example.com",
        "name": "Ben Okafor",
        "personality_traits": ["patient", "precise"],
        "settings": {"language": "en"},
        "subscription_tier": "free",
    },
]

VOICES: list[Row] = [
    {
        "id": _id(11),
        "user_id": ADA,
        "name": "Ada at the counter",
        "provider": "example-voices",
        "artifact_uri": "s3://example-models/ada/voice-2.bin",
        "checksum": "sha256:8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4",
        "status": "ready",
        "quality_score": 0.93,
        "is_active": True,
        "metadata": {"minutes_recorded": 42},
    },
    {
        "id": _id(12),
        "user_id": ADA,
        "name": "Ada, first take",
        "provider": "example-voices",
        "artifact_uri": "s3://example-models/ada/voice-1.bin",
        "status": "ready",
        "quality_score": 0.71,
    },
    {"id": _id(13), "user_id": BEN, "name": "Ben", "status": "training"},
]

FACES: list[Row] = [
    {
        "id": _id(21),
        "user_id": ADA,
        "name": "Ada in the shop",
        "provider": "example-faces",
        "artifact_uri": "s3://example-models/ada/face-1.bin",
        "status": "ready",
        "quality_score": 0.88,
        "is_active": True,
    },
    {"id": _id(22), "user_id": BEN, "name": "Ben", "status": "pending"},
]

DOCUMENTS: list[Row] = [
    {
        "id": _id(31),
        "user_id": ADA,
        "title": "Opening hours",
        "content": "The bakery is open from nine to six, Tuesday to Saturday."
        " On Sundays and Mondays the oven rests.",
        "visibility": "visitors",
        "status": "ready",
    },
    {
        "id": _id(32),
        "user_id": ADA,
        "title": "What we bake",
        "content": "# What we bake\n\nSourdough every day, rye on Thursdays, and a plum cake in"
        " autumn. Everything but the brioche is vegan. Cakes are made to order, two days ahead.",
        "content_type": "text/markdown",
        "visibility": "visitors",
        "status": "ready",
    },
    {
        "id": _id(33),
        "user_id": ADA,
        "title": "Note to myself: the new bakery",
        "content": "The lease for the second bakery is signed in March; nobody is to know before."
        " The most we can pay is 2,400 a month.",
        "visibility": "owner",
        "status": "ready",
    },
    {
        "id": _id(34),
        "user_id": BEN,
        "title": "Lessons and prices",
        "content": "A guitar lesson takes 45 minutes and costs 38. The first one is free.",
        "visibility": "visitors",
        "status": "ready",
    },
    {
        "id": _id(35),
        "user_id": BEN,
        "title": "Practice plan",
        "content": "Ten minutes of scales, then chords, then one song you like.",
        "visibility": "owner",
    },
]


_STAGES = ("asr_ms", "retrieval_ms", "llm_first_token_ms", "llm_ms", "tts_ms", "first_audio_ms")


def _turn(asked: str | None, said: str, *stages: int | None, **rest: Any) -> NewTurn:
    """Return a turn with its stage timings; written turns have no speech stages."""
    usage = {"input_tokens": 300 + len(asked or ""), "output_tokens": len(said) // 4}
    timings = dict(zip(_STAGES, stages, strict=True))
    turn = {"user_text": asked, "twin_text": said, "timings": timings, "usage": usage, **rest}
    return cast(NewTurn, turn)


SESSIONS: list[tuple[Row, list[NewTurn]]] = [
    (
        {
            "id": _id(41),
            "user_id": ADA,
            "external_id": "seed-web-1",
            "participant": Participant(kind="guest", ref="web-81f3", name="Sam"),
            "voice_model_id": _id(11),
            "face_model_id": _id(21),
        },
        [
            _turn(None, "Good morning! This is Ada's bakery.", None, None, 140, 190, 90, 260),
            _turn("When are you open?", "From nine to six.", 80, 3, 210, 340, 95, 390),
            _turn(
                "Is your bread vegan?",
                "Everything but the brioche is, and the plum cake, which is famous far beyond",
                *(75, 4, 190, 510, 120, 370),
                interrupted=True,
                heard_text="Everything but the brioche is",
            ),
            _turn("Thanks, that is all.", "See you soon!", 60, 2, 150, 200, 70, 300),
        ],
    ),
    (
        {
            "id": _id(42),
            "user_id": ADA,
            "external_id": "seed-phone-1",
            "participant": Participant(kind="phone", ref="+10005550123"),
            "voice_model_id": _id(11),
        },
        [
            _turn(
                "Hello, a cake for Saturday?", "Two days ahead is fine.", 95, 5, 230, 400, 85, 430
            ),
            _turn("A plum cake then.", "Plum cake, Saturday. Noted.", 70, 4, 200, 310, 80, 360),
        ],
    ),
    (
        {
            "id": _id(43),
            "user_id": BEN,
            "external_id": "seed-web-2",
            "participant": Participant(kind="guest", name="Noor", traits=["a beginner"]),
        },
        [
            _turn("And the price?", "38, and the first is free.", 88, 3, 240, 380, None, None),
            _turn("How long is it?", "45 minutes.", 66, 2, 180, 230, None, None),
        ],
    ),
]

_ORDER = {"cake": "plum", "day": "Saturday"}
ITEMS: dict[tuple[UUID, int], list[NewItem]] = {
    (_id(42), 2): [
        {
            "kind": "tool_call",
            "call_id": "order-1",
            "name": "order_cake",
            "payload": {"arguments": _ORDER},
        },
        {"kind": "tool_result", "call_id": "order-1", "payload": {"result": {"number": 17}}},
    ],
}
"""Tool calls and results, by session and position of the turn."""

AUDIT: list[Row] = [
    {
        "action": "document.read",
        "resource": "document",
        "resource_id": str(_id(33)),
        "user_id": ADA,
        "result": "denied",
        "metadata": {"participant": "web-81f3"},
    },
]
