"""The recording never breaks the call, and ends with it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from livekit.agents import Agent, AgentSession, JobContext
from livekit.agents.testing import fake_job_context

import digitwin.integrations.livekit
from digitwin.conversations.recorder.recorder import TurnRecorder
from digitwin.database import Database
from digitwin.errors import (
    BufferFullError,
    ConfigurationError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from digitwin.integrations.livekit import attach
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from digitwin.testing import DatabaseFactory
from tests.faults.proxy import Proxy
from tests.integration.conversations.recorder.conftest import HASTY
from tests.integration.conversations.recorder.stored import stored_in
from tests.integration.integrations.livekit.fakes import INTERIM, ScriptedLLM, calling
from tests.integration.integrations.livekit.studio import PATIENCE, Studio, until
from tests.integration.integrations.livekit.test_story import Weatherman
from tests.integration.integrations.story import ANSWER, HANG_UP, Turn, told


@pytest.fixture
def job() -> Iterator[JobContext]:
    """The framework's job of a call."""
    with fake_job_context() as job:
        yield job
    job._tempdir.cleanup()


async def shut_down(job: JobContext) -> None:
    """Do what the framework does when a job ends, with its own limit."""
    async with asyncio.timeout(10):
        await asyncio.gather(*(callback("test") for callback in job._shutdown_callbacks))


async def test_a_session_that_does_not_exist_is_refused(
    digitwin_db: Database, session: ConversationSession
) -> None:
    agent: AgentSession[Any] = AgentSession(llm=ScriptedLLM())
    with pytest.raises(NotFoundError):
        await attach(agent, digitwin_db, uuid7())
    assert not any(agent._events.values())


async def test_a_call_is_recorded_under_a_scope(
    digitwin_db: Database, ada: User, bob: User, session: ConversationSession
) -> None:
    with pytest.raises(NotFoundError):
        await attach(AgentSession(llm=ScriptedLLM()), digitwin_db.for_user(bob.id), session.id)
    scopes = (digitwin_db.for_user(ada.id), digitwin_db.for_service(reason="calls"))
    for scope in scopes:
        async with Studio(["From nine."]).call(scope, session.id) as studio:
            await studio.says("When do you open?")
    assert await told(digitwin_db, session.id) == [ANSWER, ANSWER]


async def test_a_call_goes_on_when_its_session_is_deleted(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["From nine."], ["Bye."])
    async with studio.call(digitwin_db, session.id):
        await studio.says("When do you open?")
        await digitwin_db.sessions.delete(session.id)
        await studio.says("Thanks")
        assert studio.messages[-1] == "Bye."


async def test_a_call_goes_on_when_the_handle_is_closed(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    studio = Studio(["From nine."], ["Bye."], ["Bye!"])
    async with studio.call(other, session.id):
        await studio.says("When do you open?")
        await other.close()
        await studio.says("Thanks")
        await studio.says("Bye")
        assert studio.messages[-1] == "Bye!"
    assert await told(digitwin_db, session.id) == [ANSWER]
    failures = [r.getMessage() for r in caplog.records if "callback" in r.getMessage()]
    assert len(failures) == len(set(failures)) > 0, "each kind is logged once"


async def test_an_error_in_the_recording_is_counted_and_costs_one_event(
    digitwin_db: Database, session: ConversationSession, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Studio(["x" * 100_001], ["From nine."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input="secret " * 20_000)
        await studio.agent.generate_reply(user_input="When do you open?")
        health = (await digitwin_db.health()).recorders
        assert health is not None
        assert health.failed_callbacks >= 2
    assert (await told(digitwin_db, session.id))[-1] == ANSWER
    assert "secret" not in caplog.text


async def test_a_full_buffer_does_not_stop_the_call(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    proxy: Proxy,
) -> None:
    small = await digitwin_db_factory(proxy.url, **HASTY, recorder_buffer_bytes=65_536)
    words = ["word "] * 500
    studio = Studio(words, words, words, ["From nine."], has_audio=False)
    async with studio.call(small, session.id):
        proxy.freeze()
        for _ in range(3):
            await studio.agent.generate_reply(user_input="Talk " * 2000)
        assert studio.recording is not None
        recorder = studio.recording.recorder
        health = (await small.health()).recorders
        assert health is not None
        assert health.failed_callbacks > 0
        assert health.buffered_bytes < 80_000
        proxy.thaw()
        await recorder.room()
        await recorder.drain(5)
        await studio.agent.generate_reply(user_input="When do you open?")
    assert (await told(digitwin_db, session.id))[-1] == ANSWER


async def test_an_outage_loses_and_doubles_nothing(
    digitwin_db: Database,
    hasty: Database,
    proxy: Proxy,
    session: ConversationSession,
    raw: asyncpg.Connection,
) -> None:
    """The first write is stored and its reply is lost; the later ones fail until it is over."""
    answers = [([calling("weather", city=str(n))], ["It ", f"is {n}."]) for n in range(30)]
    studio = Studio(*(reply for answer in answers for reply in answer), has_audio=False)
    async with studio.call(hasty, session.id, Weatherman()):
        for n in range(30):
            if n == 10:
                hold = proxy.hold("What is 10?")
            if n == 20:
                assert studio.recording is not None
                assert not await studio.recording.recorder.drain(1)
                proxy.cut()
                proxy.thaw()
            await studio.agent.generate_reply(user_input=f"What is {n}?")
            if n == 10:
                async with asyncio.timeout(PATIENCE):
                    await hold.answered.wait()
                proxy.freeze()
                hold.lose()
    turns = await told(digitwin_db, session.id)
    assert [(turn.user_text, turn.twin_text, turn.status) for turn in turns] == [
        (f"What is {n}?", f"It is {n}.", "completed") for n in range(30)
    ]
    assert [turn.items[0].payload for turn in turns] == [
        {"arguments": {"city": str(n)}} for n in range(30)
    ]
    stored = await stored_in(raw, session.id)
    assert len(stored.items) == 60
    assert [used["input_tokens"] for used in stored.usage] == [12] * 60


async def test_a_recording_can_end_before_its_call(
    digitwin_db: Database, session: ConversationSession
) -> None:
    agent = Agent(instructions="")
    studio = Studio(["From nine."], ["Bye."])
    async with studio.call(digitwin_db, session.id, agent):
        await studio.says("When do you open?")
        assert studio.recording is not None
        await studio.recording.aclose()
        assert not {"llm_node", "transcription_node"} & vars(agent).keys()
        await studio.says("Thanks")
        with pytest.raises(InvalidStateError):
            studio.recording.recorder.user_text("late")
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_a_recording_that_ends_while_the_twin_speaks_says_nothing_more(
    digitwin_db: Database, session: ConversationSession, caplog: pytest.LogCaptureFixture
) -> None:
    more = asyncio.Event()
    studio = Studio(["From ", more, "nine."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        handle = studio.agent.generate_reply(user_input="When do you open?")
        assert studio.recording is not None
        await until(lambda: studio.agent.agent_state == "speaking")
        await studio.recording.aclose()
        more.set()
        await handle
        assert studio.messages[-1] == "From nine."
    assert await told(digitwin_db, session.id) == [Turn("When do you open?", "From ")]
    assert "callback" not in caplog.text


@pytest.mark.parametrize(
    ("field", "value"), [("session_id", "x"), ("participant_id", "x"), ("language", "x" * 99)]
)
async def test_an_invalid_argument_is_named(
    digitwin_db: Database, session: ConversationSession, field: str, value: str
) -> None:
    agent: AgentSession[None] = AgentSession(llm=ScriptedLLM())
    options: dict[str, Any] = {"session_id": session.id, field: value}
    with pytest.raises(InvalidInputError) as raised:
        await attach(agent, digitwin_db, **options)
    assert raised.value.details["field"] == field
    assert not any(agent._events.values())


def test_another_version_of_the_framework_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.9.0")
    with pytest.raises(ConfigurationError, match=r"livekit-agents 1\.9\.0.*digitwin\[livekit\]"):
        importlib.reload(digitwin.integrations.livekit)


async def test_a_recording_may_begin_in_the_middle_of_a_call(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["Hello."], ["From nine."], has_audio=False)
    await studio.agent.start(Agent(instructions=""))
    await studio.agent.generate_reply(user_input="Hi")
    recording = await attach(studio.agent, digitwin_db, session.id)
    await studio.agent.generate_reply(user_input="When do you open?")
    await studio.agent.aclose()
    await recording.aclose()
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_a_session_that_is_recorded_is_not_recorded_twice(
    digitwin_db: Database, ada: User, session: ConversationSession
) -> None:
    other = await digitwin_db.sessions.start(ada.id)
    studio = Studio(["From nine."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        for target in (session, other):
            with pytest.raises(InvalidStateError, match="recorded already"):
                await attach(studio.agent, digitwin_db, target.id)
        await studio.agent.generate_reply(user_input="When do you open?")
    assert await told(digitwin_db, session.id) == [ANSWER]
    assert await told(digitwin_db, other.id) == []


async def test_an_attempt_that_was_refused_can_be_made_again(
    digitwin_db: Database, session: ConversationSession
) -> None:
    studio = Studio(["From nine."], has_audio=False)
    with pytest.raises(NotFoundError):
        await attach(studio.agent, digitwin_db, uuid7())
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input="When do you open?")
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_a_session_that_starts_again_is_recorded_again(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    """Before and after its start; what was used is told as sums, which begin anew."""
    agent = Agent(instructions="")
    studio = Studio(["One."], ["Two."], ["Three."], ["Four."], has_audio=False)
    async with studio.call(digitwin_db, session.id, agent):
        await studio.agent.generate_reply(user_input="1")
    async with studio.call(digitwin_db, session.id, agent):
        await studio.agent.generate_reply(user_input="2")
        assert studio.recording is not None
        await studio.recording.aclose()
        await studio.agent.generate_reply(user_input="3")
        recording = await attach(studio.agent, digitwin_db, session.id)
        await studio.agent.generate_reply(user_input="4")
    await recording.aclose()
    turns = await told(digitwin_db, session.id)
    assert turns == [Turn("1", "One."), Turn("2", "Two."), Turn("4", "Four.")]
    used = (await stored_in(raw, session.id)).usage
    assert [row["input_tokens"] for row in used] == [12, 12, 12]


async def test_usage_that_was_refused_is_told_again(
    digitwin_db: Database,
    session: ConversationSession,
    raw: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise BufferFullError("full")

    studio = Studio(["One."], ["Two."], has_audio=False)
    async with studio.call(digitwin_db, session.id):
        await studio.agent.generate_reply(user_input="1")
        with monkeypatch.context() as patch:
            patch.setattr(TurnRecorder, "usage", full)
            await studio.agent.generate_reply(user_input="2")
    used = (await stored_in(raw, session.id)).usage
    assert [row["input_tokens"] for row in used] == [12, 12]


async def test_no_error_of_the_recording_reaches_the_call(
    digitwin_db: Database,
    session: ConversationSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(TurnRecorder, "_take", broken)
    studio = Studio(["Well, "], [calling("weather", city="Kyiv")], ["dry."], ["Bye."])
    async with studio.call(digitwin_db, session.id, Weatherman()):
        await studio.says("Hello")
        studio.ears.says("Is it raining?")
        await until(lambda: "dry." in studio.messages)
        await studio.is_quiet()
        await studio.begins_to_answer("Thanks")
        await studio.agent.interrupt()
    health = (await digitwin_db.health()).recorders
    assert health is not None
    ours = [record for record in caplog.records if record.name.startswith("digitwin")]
    told_of = [record.getMessage() for record in ours if "callback" in record.getMessage()]
    assert 0 < len(told_of) == len(set(told_of)) < health.failed_callbacks
    assert "secret" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info], "LiveKit saw no error"


async def test_ten_calls_of_one_process_do_not_mix(digitwin_db: Database, ada: User) -> None:
    sessions = [await digitwin_db.sessions.start(ada.id) for _ in range(10)]

    async def call(session: ConversationSession, name: str) -> None:
        studio = Studio(
            ["Let me ", "see.", calling("weather", city=name)],
            [f"Dry in {name}."],
            [f"My {name}. ", "Long story."],
            ["Yes?"],
        )
        async with studio.call(digitwin_db, session.id, Weatherman()):
            studio.ears.says(f"Weather in {name}?")
            await until(lambda: f"Dry in {name}." in studio.messages)
            await studio.is_quiet()
            await studio.begins_to_answer(f"Tell me about {name}")
            await studio.is_generated("story.")
            studio.speaker.heard = f"My {name}."
            await studio.says(f"Stop, {name}")

    names = [f"town {number}" for number in range(10)]
    await asyncio.gather(*map(call, sessions, names))
    for session, name in zip(sessions, names, strict=True):
        turns = await told(digitwin_db, session.id)
        assert [(turn.user_text, turn.twin_text, turn.heard_text) for turn in turns] == [
            (f"Weather in {name}?", f"Let me see.\nDry in {name}.", None),
            (f"Tell me about {name}", f"My {name}. Long story.", f"My {name}."),
            (f"Stop, {name}", "Yes?", None),
        ]
        assert [item.payload for item in turns[0].items] == [
            {"arguments": {"city": name}},
            {"result": "dry"},
        ]


async def test_a_job_that_shuts_down_closes_the_call_and_waits_for_what_is_written(
    digitwin_db: Database, session: ConversationSession, job: JobContext
) -> None:
    studio = Studio(["From nine."], has_audio=False)
    await attach(studio.agent, digitwin_db, session.id)
    await studio.agent.start(Agent(instructions=""), record=False)
    await studio.agent.generate_reply(user_input="When do you open?")
    await shut_down(job)
    assert await told(digitwin_db, session.id) == [ANSWER]


async def test_a_callback_can_close_the_handle_after_the_call(
    digitwin_url: str,
    digitwin_db: Database,
    digitwin_db_factory: DatabaseFactory,
    session: ConversationSession,
    job: JobContext,
) -> None:
    other = await digitwin_db_factory(digitwin_url)
    studio = Studio(["From nine."])
    call = await attach(studio.agent, other, session.id)

    async def close() -> None:
        assert await call.ended()
        await other.sessions.end(session.id)
        await other.close()

    job.add_shutdown_callback(close)
    await studio.agent.start(Agent(instructions=""), record=False)
    await studio.says("When do you open?")
    studio.ears.begins()
    studio.ears.hears("Wait, one more", INTERIM)
    await until(lambda: studio.agent.user_state == "speaking")
    await shut_down(job)
    assert await told(digitwin_db, session.id) == [ANSWER, HANG_UP]
    assert (await digitwin_db.sessions.get(session.id)).status == "ended"


async def test_a_job_shuts_down_in_time_while_the_database_is_away(
    digitwin_db: Database,
    hasty: Database,
    proxy: Proxy,
    session: ConversationSession,
    job: JobContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("digitwin.integrations.livekit.call.DRAIN_LIMIT", 0.3)
    studio = Studio(["From nine."], has_audio=False)
    recording = await attach(studio.agent, hasty, session.id)
    await studio.agent.start(Agent(instructions=""), record=False)
    proxy.freeze()
    await studio.agent.generate_reply(user_input="When do you open?")
    await shut_down(job)
    assert recording.recorder.buffered
    proxy.thaw()
    await until(lambda: not recording.recorder.buffered)
    assert await told(digitwin_db, session.id) == [ANSWER]


class Shelf:
    """Keeps recordings in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def keep(self, path: Path) -> str:
        self.kept["file:///shelf/1"] = await asyncio.to_thread(path.read_bytes)
        return "file:///shelf/1"

    async def discard(self, address: str) -> None:
        del self.kept[address]


async def recorded(db: Database, session: ConversationSession, shelf: Shelf) -> None:
    studio = Studio(["From nine."])
    await attach(studio.agent, db, session.id, recordings=shelf)
    await studio.agent.start(
        Agent(instructions=""),
        record={"audio": True, "traces": False, "logs": False, "transcript": False},
    )
    await studio.says("When do you open?")


async def test_the_recording_is_an_artifact_of_the_session(
    digitwin_db: Database, ada: User, session: ConversationSession, job: JobContext
) -> None:
    await digitwin_db.consents.grant(ada.id, purpose="recording", evidence="a test")
    shelf = Shelf()
    await recorded(digitwin_db, session, shelf)
    await shut_down(job)
    [artifact] = (await digitwin_db.sessions.artifacts(session.id)).items
    assert (artifact.kind, artifact.content_type) == ("recording", "audio/ogg")
    assert artifact.size_bytes == len(shelf.kept[artifact.artifact_uri]) > 0
    assert artifact.duration_ms is not None
    assert artifact.started_at is not None


async def test_a_recording_without_consent_is_not_kept(
    digitwin_db: Database, session: ConversationSession, job: JobContext
) -> None:
    shelf = Shelf()
    await recorded(digitwin_db, session, shelf)
    await shut_down(job)
    assert not (await digitwin_db.sessions.artifacts(session.id)).items
    assert not shelf.kept


async def test_a_copy_that_is_refused_is_discarded(
    digitwin_db: Database, ada: User, session: ConversationSession, job: JobContext
) -> None:
    await digitwin_db.consents.grant(ada.id, purpose="recording", evidence="a test")

    class Slow(Shelf):
        async def keep(self, path: Path) -> str:
            address = await super().keep(path)
            await digitwin_db.consents.withdraw(ada.id, purpose="recording")
            return address

    shelf = Slow()
    await recorded(digitwin_db, session, shelf)
    await shut_down(job)
    assert not (await digitwin_db.sessions.artifacts(session.id)).items
    assert not shelf.kept
