"""A recorder whose database answers: what is stored, when, and for whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

import digitwin
from digitwin.database import Database
from digitwin.errors import (
    ClosedError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    ScopeRequiredError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.integration.conversations.conftest import WRITERS
from tests.integration.conversations.recorder.stored import Stored, stored_in

Read = Callable[[], Awaitable[Stored]]


async def test_a_conversation_is_stored_as_it_happened(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.recorder(session.id, language="en") as recorder:
        recorder.twin_text("Hello.")
        recorder.turn_done()
        recorder.user_text("When are")
        recorder.user_text("you open?", language="en-GB")
        turn = recorder.turn_id
        recorder.stage("asr", 80.6)
        recorder.stage("end_of_turn_ms", -1)
        call = recorder.tool_call("hours", {"day": "monday"})
        recorder.tool_result(call, ["9", "5"])
        recorder.source(passage="p. 3", score=0.5, quote="nine to five")
        for piece in ("From ", "nine", " to", " five."):
            recorder.twin_text(piece)
        recorder.usage(kind="llm", model="m", input_tokens=812, output_tokens=40.2)
        recorder.interrupted(heard="From nine")
        recorder.user_text("Thanks")
    found = await stored()
    assert found.texts == [
        (None, "Hello."),
        ("When are\nyou open?", "From nine to five."),
        ("Thanks", None),
    ]
    assert found.statuses == ["completed", "interrupted", "abandoned"]
    asked = found.turns[1]
    assert (asked["id"], asked["heard_text"], asked["language"]) == (turn, "From nine", "en-GB")
    assert (asked["asr_ms"], asked["end_of_turn_ms"]) == (81, None)
    assert [(item["kind"], item["name"], item["call_id"]) for item in found.items] == [
        ("tool_call", "hours", call),
        ("tool_result", "hours", call),
    ]
    assert found.items[0]["payload"] == {"arguments": {"day": "monday"}}
    assert found.items[1]["payload"] == {"result": ["9", "5"]}
    assert (found.usage[0]["turn_id"], found.usage[0]["output_tokens"]) == (turn, 40)
    assert (found.sources[0]["turn_id"], found.sources[0]["quote"]) == (turn, "nine to five")


async def test_it_is_written_without_being_asked(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with asyncio.timeout(5), digitwin_db.recorder(session.id) as recorder:
        recorder.user_text("Hi")
        while (await stored()).texts != [("Hi", None)]:
            pass
        assert recorder.buffered == 0 or recorder.buffered == 1
        recorder.twin_text("Hello")
        while (await stored()).texts != [("Hi", "Hello")]:
            pass
        assert (await stored()).statuses == ["open"]


async def test_events_have_the_databases_time_of_their_call(
    digitwin_db: Database, session: ConversationSession, stored: Read, raw: asyncpg.Connection
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        before = await raw.fetchval("SELECT clock_timestamp()")
        recorder.user_text("Hi")
        between = await raw.fetchval("SELECT clock_timestamp()")
        recorder.turn_done()
    turn = (await stored()).turns[0]
    slack = timedelta(seconds=0.2)
    assert before - slack <= turn["started_at"] <= between + slack <= turn["ended_at"] + 2 * slack


async def test_times_can_be_given(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    began = datetime(2025, 5, 1, 12, tzinfo=UTC)
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.user_text("Hi", at=began)
        recorder.tool_call("t", at=began)
        recorder.turn_done(at=began + timedelta(seconds=3))
        recorder.twin_text("Hello", at=began + timedelta(seconds=9))
        recorder.turn_done(at=began)
    turns = (await stored()).turns
    assert turns[0]["ended_at"] - turns[0]["started_at"] == timedelta(seconds=3)
    assert turns[1]["ended_at"] == turns[1]["started_at"] == began + timedelta(seconds=9)


async def test_a_turn_that_the_next_one_ended_still_ends_in_its_own_way(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        turns = {text: uuid7() for text in ("cut", "answered", "resumed", "unknown")}
        for text in ("cut", "answered", "resumed"):
            recorder.user_text(text, turn_id=turns[text])
        recorder.user_text("next", turn_id=uuid7())
        assert await recorder.drain()
        assert (await stored()).statuses == ["abandoned"] * 3 + ["open"]
        for text in ("cut", "answered", "resumed"):
            recorder.twin_text("late", turn_id=turns[text])
        recorder.heard("la", turn_id=turns["answered"])
        recorder.interrupted(heard="la", turn_id=turns["cut"])
        recorder.interrupted(heard="la", turn_id=turns["resumed"])
        recorder.resumed(turn_id=turns["resumed"])
        for turn in turns.values():
            recorder.turn_done(turn_id=turn)
        assert recorder.turn_id not in turns.values()
    found = await stored()
    assert found.statuses == ["interrupted", "completed", "completed", "abandoned"]
    assert [turn["heard_text"] for turn in found.turns] == ["la", "la", None, None]


async def test_a_false_interruption_leaves_no_trace(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.user_text("Hi")
        recorder.twin_text("Hello")
        recorder.interrupted(heard="He")
        assert await recorder.drain()
        assert (await stored()).statuses == ["interrupted"]
        recorder.resumed()
        assert await recorder.drain()
        turn = (await stored()).turns[0]
        assert (turn["status"], turn["heard_text"], turn["ended_at"]) == ("open", None, None)
        recorder.twin_text(" there.")
        recorder.turn_done()
    turn = (await stored()).turns[0]
    assert (turn["status"], turn["twin_text"]) == ("completed", "Hello there.")


async def test_an_interruption_told_after_the_end(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.twin_text("Hello")
        recorder.turn_done()
        await recorder.drain()
        recorder.interrupted(heard="Hell")
    turn = (await stored()).turns[0]
    assert (turn["status"], turn["heard_text"]) == ("interrupted", "Hell")


async def test_an_error_in_the_block_abandons_the_open_turn(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.recorder(session.id) as recorder:
            recorder.user_text("Hi")
            recorder.twin_text("Hello")
            1 / 0  # noqa: B018
    assert (await stored()).statuses == ["abandoned"]


# Whose session it is


async def test_scopes(digitwin_db: Database, ada: User, bob: User) -> None:
    session = await digitwin_db.sessions.start(ada.id)
    for scope in (digitwin_db.for_user(ada.id), digitwin_db.for_service(reason="a test")):
        async with scope.recorder(session.id) as recorder:
            recorder.user_text("Hi")
    assert len((await digitwin_db.sessions.with_turns(session.id)).turns) == 2
    with pytest.raises(NotFoundError):
        async with digitwin_db.for_user(bob.id).recorder(session.id):
            pytest.fail("entered")
    with pytest.raises(NotFoundError):
        digitwin_db.for_user(bob.id).recorder(session.id, user_id=ada.id)
    denied = await digitwin_db.audit.list(result="denied")
    assert [row.action for row in denied.items] == ["session.record"]


async def test_a_handle_that_requires_scopes(
    digitwin_url: str, digitwin_db_factory: DatabaseFactory, session: ConversationSession
) -> None:
    db = await digitwin_db_factory(digitwin_url, scope="required")
    with pytest.raises(ScopeRequiredError):
        async with db.recorder(session.id):
            pytest.fail("entered")


async def test_a_transaction_of_the_caller_is_not_joined(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.transaction():
        hidden = await digitwin_db.sessions.start(session.user_id)  # type: ignore[attr-defined]
        with pytest.raises(NotFoundError):
            async with digitwin_db.recorder(hidden.id):
                pytest.fail("entered")
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            async with digitwin_db.recorder(session.id) as recorder:
                recorder.user_text("Hi")
            1 / 0  # noqa: B018
    assert (await stored()).texts == [("Hi", None)]


# Sessions that end or go


async def test_a_session_that_has_ended_takes_late_turns_for_a_while(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection, stored: Read
) -> None:
    recorder = digitwin_db.recorder(session.id)
    with pytest.raises(InvalidStateError):
        async with recorder:
            await digitwin_db.sessions.end(session.id)
            recorder.user_text("late")
            assert await recorder.drain()
            await age(raw, session)
            recorder.user_text("too late")
            with pytest.raises(InvalidStateError):
                await recorder.drain()
            recorder.user_text("later still")
            assert (recorder.dropped, recorder.buffered) == (2, 0)
    health = (await digitwin_db.health()).recorders
    assert health is not None
    assert (health.live, health.buffered, health.dropped) == (0, 0, 3)  # and the end of the turn
    assert (await stored()).texts == [("late", None)]


async def age(raw: asyncpg.Connection, session: ConversationSession) -> None:
    """Let the session have ended an hour ago."""
    await raw.execute(
        "UPDATE conversation_sessions SET status = 'ended', ended_at = now() - interval '1 hour',"
        " started_at = now() - interval '2 hours' WHERE id = $1",
        session.id,
    )


async def test_a_session_that_ended_long_ago_cannot_be_recorded(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    await age(raw, session)
    with pytest.raises(InvalidStateError):
        async with digitwin_db.recorder(session.id):
            pytest.fail("entered")


async def test_an_error_of_the_block_is_not_replaced(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.recorder(session.id) as recorder:
            await age(raw, session)
            recorder.user_text("too late")
            1 / 0  # noqa: B018


async def test_a_session_whose_owner_was_deleted(
    digitwin_db: Database, session: ConversationSession, ada: User
) -> None:
    with pytest.raises(NotFoundError):
        async with digitwin_db.recorder(session.id) as recorder:
            await digitwin_db.users.delete(ada.id)
            recorder.user_text("too late")


async def test_a_session_that_does_not_exist(digitwin_db: Database) -> None:
    with pytest.raises(NotFoundError):
        async with digitwin_db.recorder(uuid7()):
            pytest.fail("entered")


# Who may call, and when


async def test_a_recorder_is_used_within_its_block_and_once(
    digitwin_db: Database, session: ConversationSession
) -> None:
    recorder = digitwin_db.recorder(session.id)
    with pytest.raises(InvalidStateError, match="Enter"):
        recorder.user_text("early")
    async with recorder:
        recorder.user_text("Hi")
    with pytest.raises(InvalidStateError, match="left"):
        recorder.twin_text("late")
    with pytest.raises(InvalidStateError, match="once"):
        async with recorder:
            pytest.fail("entered")
    assert await recorder.drain()


async def test_a_call_from_another_thread_is_refused(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        with pytest.raises(InvalidStateError, match="call_soon_threadsafe"):
            await asyncio.to_thread(recorder.user_text, "Hi")
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def call() -> None:
            loop.call_soon_threadsafe(recorder.user_text, "Hi")
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=call).start()
        await done.wait()
    assert (await stored()).texts == [("Hi", None)]


async def test_a_closing_handle_ends_its_recorders_and_writes_everything(
    digitwin_url: str,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    stored: Read,
) -> None:
    db = await digitwin_db_factory(digitwin_url, recorder_lag=60)
    async with db.recorder(session.id) as recorder:
        recorder.user_text("Hi")
        recorder.twin_text("Hello")
        await db.close()
        assert (await stored()).statuses == ["completed"]
        with pytest.raises(ClosedError):
            recorder.twin_text("late")
        assert await recorder.drain()
    with pytest.raises(ClosedError):
        async with db.recorder(session.id):
            pytest.fail("entered")


async def test_a_cancelled_block_still_writes_what_it_accepted(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    accepted = asyncio.Event()

    async def talk() -> None:
        async with digitwin_db.recorder(session.id) as recorder:
            recorder.user_text("Hi")
            recorder.twin_text("Hello")
            accepted.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(talk())
    await accepted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await stored()).statuses == ["completed"]


HOSTILE: list[Any] = ["a\0b", "\ud800", b"bytes", 7, None, object(), ["a"]]
BAD_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    *[("user_text", (value,), {}, "text") for value in [*HOSTILE, "", "a" * 100_001]],
    *[("twin_text", (value,), {}, "delta") for value in [*HOSTILE, "a" * 100_001]],
    *[("heard", (value,), {}, "text") for value in HOSTILE],
    *[("interrupted", (), {"heard": value}, "heard") for value in HOSTILE if value is not None],
    ("user_text", ("a",), {"at": datetime(2026, 1, 1)}, "at"),  # noqa: DTZ001
    ("user_text", ("a",), {"at": "today"}, "at"),
    ("user_text", ("a",), {"language": ""}, "language"),
    ("user_text", ("a",), {"language": "a" * 36}, "language"),
    ("user_text", ("a",), {"participant_id": "ada"}, "participant_id"),
    ("user_text", ("a",), {"turn_id": 7}, "turn_id"),
    ("twin_text", ("a",), {"turn_id": uuid7().hex[:-1]}, "turn_id"),
    ("turn_done", (), {"status": "open"}, "status"),
    ("stage", ("", 3), {}, "stage"),
    ("stage", (7, 3), {}, "stage"),
    ("tool_call", ("",), {}, "name"),
    ("tool_call", ("t", {1, 2}), {}, "arguments"),
    ("tool_call", ("t", {"a": float("nan")}), {}, "arguments"),
    ("tool_call", ("t", "a" * 1_048_577), {}, "arguments"),
    ("tool_call", ("t",), {"call_id": "a\nb"}, "call_id"),
    ("tool_call", ("t",), {"item_id": "a" * 201}, "item_id"),
    ("tool_result", ("",), {}, "call_id"),
    ("tool_result", ("c", object()), {}, "result"),
    ("tool_result", ("c",), {"is_error": "no"}, "is_error"),
    ("item", ("song",), {}, "kind"),
    ("item", ("tool_call",), {}, "call_id"),
    ("item", ("message", ["no object"]), {}, "payload"),
    ("source", ("no id",), {}, "document_id"),
    ("source", (), {"score": float("inf")}, "score"),
    ("usage", (), {"kind": "gas"}, "kind"),
    ("usage", (), {"kind": "llm", "model": ""}, "model"),
]


@pytest.mark.parametrize(("method", "args", "options", "field"), BAD_CALLS)
async def test_invalid_input_is_refused_by_the_call_and_changes_nothing(
    digitwin_db: Database,
    session: ConversationSession,
    method: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    field: str,
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.twin_text("Hello")
        await recorder.drain()
        with pytest.raises(InvalidInputError) as caught:
            getattr(recorder, method)(*args, **options)
        assert caught.value.details["field"] == field
        assert recorder.buffered == 0


@pytest.mark.parametrize("field", ["session_id", "user_id", "participant_id", "language"])
def test_invalid_arguments_of_a_recorder(digitwin_db: Database, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        digitwin_db.recorder(**{"session_id": uuid7(), field: 7})  # type: ignore[arg-type]
    assert caught.value.details["field"] == field


async def test_values_are_taken_as_they_were_at_the_call(
    digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    arguments = {"days": ["monday"]}
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.tool_call("hours", arguments)
        arguments["days"].append(object())  # type: ignore[arg-type]
    assert (await stored()).items[0]["payload"] == {"arguments": {"days": ["monday"]}}


# Beside others


async def test_many_recorders_and_callers_of_one_session(
    crowd: Any, digitwin_db: Database, session: ConversationSession, stored: Read
) -> None:
    async def record(n: int) -> None:
        async with digitwin_db.recorder(session.id) as recorder:
            for m in range(4):
                recorder.user_text(f"{n}.{m}")
                for piece in "hello":
                    recorder.twin_text(piece)
                    await asyncio.sleep(0)
                recorder.tool_call("t")
                recorder.turn_done()
                if m % 2:
                    assert await recorder.drain()

    async def add(n: int) -> None:
        for m in range(4):
            await crowd.add_turn(session.id, user_text=f"{n}.{m}", twin_text="hello")

    await asyncio.gather(
        *(record(n) for n in range(WRITERS // 2)), *(add(n) for n in range(WRITERS // 2, WRITERS))
    )
    found = await stored()
    assert sorted(found.texts) == sorted(  # type: ignore[type-var]
        (f"{n}.{m}", "hello") for n in range(WRITERS) for m in range(4)
    )
    of_each = [text for text, _ in found.texts]
    for n in range(WRITERS):
        mine = [text for text in of_each if text.startswith(f"{n}.")]  # type: ignore[union-attr]
        assert mine == [f"{n}.{m}" for m in range(4)]
    assert [item["number"] for item in found.items] == list(range(1, len(found.items) + 1))
    assert len(found.items) == WRITERS // 2 * 4


def test_on_uvloop(digitwin_url: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def record() -> list[Any]:
        async with digitwin.connect(digitwin_url, migrate="skip") as db:
            ada = await db.users.create(email="ada@example.com", name="Ada")
            session = await db.sessions.start(ada.id)
            async with db.recorder(session.id) as recorder:
                for n in range(3):
                    recorder.user_text(f"{n}")
                    assert await recorder.drain()
                    recorder.turn_done()
            raw = await asyncpg.connect(digitwin_url)
            found = await stored_in(raw, session.id)
            await raw.close()
            return found.texts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(record()) == [(f"{n}", None) for n in range(3)]


async def test_a_failing_callback_does_not_reach_the_pipeline_and_is_counted(
    digitwin_db: Database, session: ConversationSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        for _ in range(3):
            with recorder.guarding("on_message"):
                raise KeyError("ada@example.com")
        recorder.user_text("Hello")
    health = await digitwin_db.health()
    assert health.recorders is not None
    assert health.recorders.failed_callbacks == 3
    assert [r.message for r in caplog.records] == [
        "callback on_message failed, what it was called for is lost: KeyError"
    ]


async def test_a_cancellation_is_no_failure_of_a_callback(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        with pytest.raises(asyncio.CancelledError), recorder.guarding("on_message"):
            raise asyncio.CancelledError


async def test_how_it_is_known_what_was_heard_is_kept(
    digitwin_db: Database, session: ConversationSession
) -> None:
    async with digitwin_db.recorder(session.id) as recorder:
        recorder.twin_text("One. Two.")
        recorder.heard("One.", basis="words")
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    assert (turn.heard_text, turn.extra) == ("One.", {"heard_basis": "words"})
