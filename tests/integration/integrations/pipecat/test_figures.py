"""What the framework measures is stored with the turn that it is about."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import pytest
from hypothesis import given, strategies as st
from pipecat.frames.frames import (
    MetricsFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import (
    LLMTokenUsage,
    LLMUsageMetricsData,
    STTUsage,
    STTUsageMetricsData,
    TTFAMetricsData,
    TTFATMetricsData,
    TTFBMetricsData,
    TTSUsageMetricsData,
)
from pipecat.observers.function_call_observer import FunctionCallEvent, FunctionCallObserver
from pipecat.observers.service_metrics_observer import (
    ServiceLatencyRecord,
    ServiceMetricsObserver,
    ServiceUsageRecord,
)
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from digitwin.database import Database
from digitwin.integrations.pipecat.figures import tokens
from digitwin.models import ConversationSession
from tests.integration.conversations.recorder.stored import stored_in
from tests.integration.integrations.pipecat.stage import Calling, Stage, until
from tests.integration.integrations.story import told

USED = LLMTokenUsage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


class Ear(STTService):
    """A recogniser that only tells figures."""

    def __init__(self) -> None:
        super().__init__(settings=STTSettings(model="fake", language=None), ttfs_p99_latency=0)

    async def run_stt(self, audio: bytes) -> Any:
        yield None


class Mouth(TTSService):
    """A voice that only tells figures."""

    def __init__(self) -> None:
        super().__init__(settings=TTSSettings(model="fake", voice=None, language=None))

    async def run_tts(self, text: str, context_id: str) -> Any:
        yield None


def first_byte(seconds: float) -> TTFBMetricsData:
    return TTFBMetricsData(processor="Fake#0", model="fake", value=seconds)


async def test_stages_and_usage_are_of_the_turn(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    used = LLMUsageMetricsData(processor="Fake#0", model="fake", value=USED)
    stage = Stage([MetricsFrame(data=[first_byte(0.21), used]), "From nine."])
    async with stage.call(digitwin_db, session.id):
        await stage.put(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await stage.says("When do you open?")
        await stage.is_quiet(2)
    turn = (await digitwin_db.sessions.with_turns(session.id)).turns[0]
    assert turn.timings["llm_first_token_ms"] == 210
    assert turn.timings["first_audio_ms"] >= 200
    usage = (await stored_in(raw, session.id)).usage
    fields = ("kind", "provider", "model", "turn_id", "input_tokens", "output_tokens")
    assert [tuple(row[name] for name in fields) for row in usage] == [
        ("llm", "Fake", "fake", turn.id, 10, 5)
    ]


async def test_what_recognition_took_is_of_the_words_that_it_recognised(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    """It is told before the words are in the context: the turn before is still the last one."""
    ear = Ear()
    stage = Stage(["From nine."], ["Closed."])
    async with stage.call(digitwin_db, session.id):
        for number, asked in enumerate(("When do you open?", "And on Sundays?"), 1):
            await stage.begins()
            await until(lambda: bool(stage.pair.user()._user_turn_start_timestamp))
            heard = STTUsageMetricsData(
                processor="Ear#0", value=STTUsage(audio_seconds=float(number))
            )
            metrics = MetricsFrame(data=[first_byte(number / 10), heard])
            await stage.tells(ear, metrics)
            await stage.says(asked)
            await stage.is_quiet(2 * number)
    first, second = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert (first.timings["asr_ms"], second.timings["asr_ms"]) == (100, 200)
    usage = (await stored_in(raw, session.id)).usage
    assert [(row["turn_id"], row["audio_ms"]) for row in usage] == [
        (first.id, 1000),
        (second.id, 2000),
    ]


async def test_figures_of_words_that_never_come_are_of_no_turn(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    stage = Stage()
    async with stage.call(digitwin_db, session.id):
        await stage.begins()
        await until(lambda: bool(stage.pair.user()._user_turn_start_timestamp))
        heard = STTUsageMetricsData(processor="Ear#0", value=STTUsage(audio_seconds=1.0))
        await stage.tells(Ear(), MetricsFrame(data=[heard]))
    usage = (await stored_in(raw, session.id)).usage
    assert [(row["turn_id"], row["audio_ms"]) for row in usage] == [(None, 1000)]


async def test_of_each_stage_the_first_figure_of_a_turn_counts(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """A voice tells one for each sentence; the participant waited for the first."""
    stage, mouth = Stage(["From nine."]), Mouth()
    async with stage.call(digitwin_db, session.id):
        await stage.says("When do you open?")
        for seconds in (0.1, 0.7):
            await stage.tells(mouth, MetricsFrame(data=[first_byte(seconds)]))
        await stage.is_quiet(2)
    (turn,) = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert turn.timings["tts_first_audio_ms"] == 100


async def test_figures_of_a_greeting_are_of_its_turn(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """They are told before its first word opens the turn."""
    stage = Stage(
        [MetricsFrame(data=[first_byte(0.1)]), "Good morning."],
        [MetricsFrame(data=[first_byte(0.2)]), "From nine."],
    )
    async with stage.call(digitwin_db, session.id):
        await stage.runs_model("Greet me")
        await until(lambda: "Good morning." in stage.voice.spoken)
        await stage.is_quiet(2)
        await stage.says("When do you open?")
        await stage.is_quiet(4)
    greeting, answer = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert greeting.timings["llm_first_token_ms"] == 100
    assert answer.timings["llm_first_token_ms"] == 200


async def answer_after(stage: Stage, ahead: float) -> None:
    """Drive an exchange in which the wall clock was ahead when the participant fell silent."""
    await stage.put(ProposedUserStartedSpeakingFrame(), VADUserStartedSpeakingFrame())
    await until(lambda: bool(stage.pair.user()._user_turn_start_timestamp))
    silent = VADUserStoppedSpeakingFrame(stop_secs=0.2, timestamp=time.time() + ahead)
    await stage.put(silent)
    await stage.put(TranscriptionFrame("When do you open?", "guest", "", finalized=True))
    await stage.put(ProposedUserStoppedSpeakingFrame())
    await stage.is_quiet(2)


async def test_a_wait_is_broken_down_into_its_parts(
    digitwin_db: Database, session: ConversationSession
) -> None:
    """Only the framework's observer names them; it tells them to a task, in any order."""
    async with Stage(["From nine."]).call(digitwin_db, session.id) as stage:
        await answer_after(stage, 0)
    (turn,) = await told(digitwin_db, session.id)
    (item,) = turn.items
    assert (item.kind, item.name) == ("custom", "latency")
    assert item.payload["endpointing_wait"] == 200
    (stored,) = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert stored.timings["end_of_turn_ms"] >= 200


@pytest.mark.parametrize("jump", [-3600, 3600])
async def test_a_clock_that_jumps_spoils_no_duration(
    digitwin_db: Database, session: ConversationSession, jump: int
) -> None:
    """The framework times waits by the wall clock: what it tells then is left out."""
    async with Stage(["From nine."]).call(digitwin_db, session.id) as stage:
        await answer_after(stage, jump)
    (turn,) = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert turn.timings == {"first_audio_ms": turn.timings["first_audio_ms"]}
    assert 200 <= turn.timings["first_audio_ms"] < 60_000
    (stored,) = await told(digitwin_db, session.id)
    assert stored.items == ()


async def test_rows_hold_what_the_observers_of_services_and_tools_tell(
    digitwin_db: Database, session: ConversationSession, raw: asyncpg.Connection
) -> None:
    """They read the same frames: attached beside the recording, they tell nothing more."""
    latencies: list[ServiceLatencyRecord] = []
    usages: list[ServiceUsageRecord] = []
    calls: list[FunctionCallEvent] = []
    services = ServiceMetricsObserver()
    services.add_event_handler("on_service_latency", lambda _, one: latencies.append(one))
    services.add_event_handler("on_service_usage", lambda _, one: usages.append(one))
    functions = FunctionCallObserver(include_results=True)
    functions.add_event_handler("on_function_call_event", lambda _, one: calls.append(one))

    async def weather(params: FunctionCallParams) -> None:
        await params.result_callback("dry")

    names: dict[str, Any] = {"processor": "Fake#0", "model": "fake"}
    written = [
        first_byte(0.1),
        TTFATMetricsData(ttfat=0.3, ttfb=0.1, thinking_time=0.2, **names),
        LLMUsageMetricsData(value=USED, **names),
    ]
    stage = Stage([MetricsFrame(data=written), Calling("weather", city="Kyiv")], ["It is dry."])
    stage.model.register_function("weather", weather)
    stage.observers = [services, functions]
    spoken = [
        first_byte(0.2),
        TTFAMetricsData(ttfa=0.25, ttfb=0.2, leading_silence=0.05, **names),
        TTSUsageMetricsData(value=7, **names),
    ]
    async with stage.call(digitwin_db, session.id):
        await stage.says("Is it raining?")
        await stage.is_quiet(4)
        await stage.tells(Mouth(), MetricsFrame(data=spoken))
        await until(lambda: len(usages) == 2)
    (turn,) = (await digitwin_db.sessions.with_turns(session.id)).turns
    assert turn.extra is not None
    assert sorted(round(one.seconds * 1000) for one in latencies) == sorted(
        [
            turn.timings["llm_first_token_ms"],
            turn.timings["tts_first_audio_ms"],
            turn.extra["llm_answer_token_ms"],
            turn.extra["tts_audible_ms"],
        ]
    )
    assert [
        (row["kind"], row["characters"]) for row in (await stored_in(raw, session.id)).usage
    ] == [(one.kind, one.characters) for one in usages]
    (recorded,) = await told(digitwin_db, session.id)
    assert [call.kind.removeprefix("function_call_") for call in calls] == [
        "started",
        "in_progress",
        "completed",
    ]
    assert [item.payload for item in recorded.items if item.kind.startswith("tool")] == [
        {"arguments": calls[0].arguments},
        {"result": calls[2].result},
    ]


COUNT = st.integers(0, 1000)


@given(
    used=st.builds(
        LLMTokenUsage,
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        total_tokens=st.integers(0, 3000),
        cache_read_input_tokens=COUNT | st.none(),
        cache_creation_input_tokens=COUNT | st.none(),
        reasoning_tokens=COUNT | st.none(),
        input_audio_tokens=COUNT | st.none(),
        output_audio_tokens=COUNT | st.none(),
        cache_read_input_audio_tokens=COUNT | st.none(),
    )
)
def test_buckets_add_up_to_what_was_used(used: LLMTokenUsage) -> None:
    counts = tokens(used)
    assert all(isinstance(count, int) and count >= 0 for count in counts.values())
    read = max(used.prompt_tokens, used.total_tokens - used.completion_tokens)
    assert sum(counts.values()) == read + used.completion_tokens  # type: ignore[arg-type]
