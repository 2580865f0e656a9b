"""A Pipecat call in which the participant cuts in, and what digitwin has stored of it.

It needs no keys and no network: model and voice are fakes.
"""

import asyncio

from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

import digitwin
from digitwin.integrations.pipecat import attach

ANSWERS = iter([["From nine ", "to five."], ["My grandmother planted it.", " Then the war came."]])


class Model(FrameProcessor):
    async def process_frame(self, frame: frames.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.LLMContextFrame):
            await self.push_frame(frames.LLMFullResponseStartFrame())
            for piece in next(ANSWERS):
                await self.push_frame(frames.LLMTextFrame(piece))
            frame = frames.LLMFullResponseEndFrame()
        await self.push_frame(frame, direction)


class Voice(FrameProcessor):
    """Speaks until the participant cuts in, which happens before the war."""

    async def process_frame(self, frame: frames.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.LLMTextFrame):
            if "war" in frame.text:
                await asyncio.sleep(0.2)  # the sentence before is being heard
                await self.broadcast_frame(frames.InterruptionFrame)
                return
            frame = frames.TTSTextFrame(frame.text, text_type=TextType.SENTENCE)
            frame.includes_inter_frame_spaces = True
        await self.push_frame(frame, direction)


async def main() -> None:
    async with digitwin.connect() as db:
        owner = await db.users.create(email=f"{digitwin.uuid7()}@example.com", name="Olha")
        conversation = await db.sessions.start(owner.id)
        strategies = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
        pair = LLMContextAggregatorPair(LLMContext(), user_params=strategies)
        recording = await attach(pair, db, conversation.id)
        pipeline = Pipeline([pair.user(), Model(), Voice(), pair.assistant()])
        worker = PipelineWorker(pipeline, observers=[recording])
        answered: asyncio.Queue[None] = asyncio.Queue()
        answer = pair.assistant().add_event_handler
        answer("on_assistant_turn_stopped", lambda *_: answered.put_nowait(None))
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        call = asyncio.create_task(runner.run())
        for question in ("When do you open?", "Tell me about the orchard"):
            await worker.queue_frame(frames.ProposedUserStartedSpeakingFrame())
            await worker.queue_frame(frames.TranscriptionFrame(question, "guest", "now"))
            await worker.queue_frame(frames.ProposedUserStoppedSpeakingFrame())
            await answered.get()
        await worker.queue_frame(frames.EndFrame())
        await call
        for turn in (await db.sessions.with_turns(conversation.id)).turns:
            print(f"{turn.status}: {turn.user_text} {turn.twin_text!r} heard: {turn.heard_text!r}")


asyncio.run(main())
