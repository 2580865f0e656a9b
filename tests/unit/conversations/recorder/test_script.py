"""What the calls of a recorder mean, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from digitwin.conversations.living.writes import TurnWrite
from digitwin.conversations.recorder.script import Event, Said, Script
from digitwin.errors import InvalidInputError, InvalidStateError
from digitwin.kernel.primitives.ids import uuid7

T0 = datetime(2026, 1, 1, tzinfo=UTC)
GUEST, OTHER = uuid7(), uuid7()


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def the_only(events: list[Event]) -> Any:
    assert len(events) == 1
    return events[0]


@pytest.fixture
def script() -> Script:
    return Script()


def test_an_utterance_opens_a_turn_where_none_is_open(script: Script) -> None:
    opening = the_only(script.user_text("Hello", at(1)))
    assert (opening.opens, opening.user_text, opening.started_at) == (True, "Hello", at(1))
    assert script.open_id == opening.turn_id


def test_a_second_utterance_is_a_line_of_the_same_turn(script: Script) -> None:
    first = the_only(script.user_text("When are", at(1)))
    second = the_only(script.user_text("you open?", at(2)))
    assert (second.turn_id, second.user_text) == (first.turn_id, "\nyou open?")


def test_a_greeting_opens_a_turn_that_no_utterance_joins(script: Script) -> None:
    greeting = the_only(script.twin_text("Hello.", at(1)))
    end, opening = script.user_text("Hi", at(2))
    assert isinstance(end, TurnWrite)
    assert (end.turn_id, end.status) == (greeting.turn_id, "completed")
    assert opening.turn_id != greeting.turn_id


def test_pieces_of_the_answer_belong_to_the_open_turn(script: Script) -> None:
    script.user_text("Hi", at(1))
    assert the_only(script.twin_text("Hello", at(2))) == Said(script.open_id, ["Hello"])  # type: ignore[arg-type]


def test_another_speaker_opens_the_next_turn(script: Script) -> None:
    first = the_only(script.user_text("Hi", at(1), participant_id=GUEST))
    end, opening = script.user_text("Hi", at(2), participant_id=OTHER)
    assert (end.turn_id, end.status, end.ended_at) == (first.turn_id, "abandoned", at(2))  # type: ignore[union-attr]
    assert opening.participant_id == OTHER  # type: ignore[union-attr]


def test_the_default_speaker_and_language_are_those_of_the_recorder() -> None:
    opening = the_only(Script(GUEST, "de").user_text("Hallo", at(1)))
    assert (opening.participant_id, opening.language) == (GUEST, "de")
    assert the_only(Script(GUEST, "de").twin_text("Hallo", at(1))).language == "de"


def test_what_follows_an_interruption_is_the_next_turn(script: Script) -> None:
    script.user_text("Hi", at(1))
    script.twin_text("Hello, I", at(2))
    cut = the_only(script.interrupted(at(3), "Hello"))
    assert (cut.status, cut.heard_text, cut.ended_at) == ("interrupted", "Hello", at(3))
    opening = the_only(script.user_text("Stop", at(4)))
    assert opening.turn_id != cut.turn_id


def test_late_pieces_belong_to_the_interrupted_turn(script: Script) -> None:
    script.user_text("Hi", at(1))
    script.twin_text("Hello", at(2))
    cut = the_only(script.interrupted(at(3), None))
    assert the_only(script.twin_text(", I am", at(4))).turn_id == cut.turn_id


def test_an_interrupted_turn_stays_so_when_it_is_done(script: Script) -> None:
    script.twin_text("Hello", at(1))
    script.interrupted(at(2), None)
    assert script.done(at(3)) == []
    assert script.open_id is None


def test_an_interruption_after_the_end_corrects_the_last_turn(script: Script) -> None:
    script.twin_text("Hello", at(1))
    end = the_only(script.done(at(2)))
    cut = the_only(script.interrupted(at(3), "Hel"))
    assert (cut.turn_id, cut.status, cut.corrects) == (end.turn_id, "interrupted", True)


def test_a_false_interruption_is_taken_back(script: Script) -> None:
    script.twin_text("Hello", at(1))
    script.interrupted(at(2), "He")
    back = the_only(script.resumed())
    assert (back.status, back.corrects, back.heard_text) == ("open", True, None)
    assert the_only(script.done(at(3))).status == "completed"


def test_an_interruption_is_not_taken_back_once_something_was_said(script: Script) -> None:
    script.twin_text("Hello", at(1))
    script.interrupted(at(2), "He")
    script.user_text("No", at(3))
    assert script.resumed() == []


def test_nothing_to_interrupt_to_resume_or_to_end(script: Script) -> None:
    assert script.interrupted(at(1), "He") == []
    assert script.resumed() == []
    assert script.done(at(1)) == []


def test_an_empty_heard_text_of_a_turn_without_words_is_none(script: Script) -> None:
    script.user_text("Hi", at(1))
    assert the_only(script.interrupted(at(2), "")).heard_text is None


def test_no_turn_ends_before_it_began(script: Script) -> None:
    script.user_text("Hi", at(5))
    assert the_only(script.done(at(1))).ended_at == at(5)


@pytest.mark.parametrize(
    ("answer", "failed", "status"),
    [("Hello", False, "completed"), ("Hello", True, "abandoned"), ("", False, "abandoned")],
)
def test_what_the_end_of_the_recorder_makes_of_an_open_turn(
    script: Script, answer: str, failed: bool, status: str
) -> None:
    script.user_text("Hi", at(1))
    if answer:
        script.twin_text(answer, at(2))
    assert the_only(script.finish(at(3), failed=failed)).status == status


def test_a_late_utterance_for_a_turn_that_has_ended(script: Script) -> None:
    first = the_only(script.user_text("Hi", at(1)))
    script.done(at(2))
    late = the_only(script.user_text("there", at(3), turn_id=first.turn_id))
    assert (late.turn_id, late.user_text, late.opens) == (first.turn_id, "\nthere", False)
    assert script.open_id is None


def test_a_turn_can_be_given_its_id(script: Script) -> None:
    id = uuid7()
    assert the_only(script.user_text("Hi", at(1), turn_id=id)).turn_id == id
    assert script.open_id == id


def test_a_result_belongs_to_the_turn_of_its_call(script: Script) -> None:
    script.user_text("Hi", at(1))
    turn = script.open_id
    script.tool_call(None, at(2), call_id="c", name="hours")
    script.done(at(3))
    script.user_text("And?", at(4))
    result = the_only(script.tool_result(None, at(5), call_id="c", name=None))
    assert (result.turn_id, result.name) == (turn, "hours")
    assert (result.started_at, result.ended_at) == (at(2), at(5))


def test_what_happens_in_no_turn_belongs_to_the_session(script: Script) -> None:
    assert the_only(script.item(None, kind="handoff")).turn_id is None
    assert the_only(script.tool_result(None, at(1), call_id="c", name=None)).turn_id is None


def test_a_stage_is_of_the_open_turn_or_the_last_one(script: Script) -> None:
    script.user_text("Hi", at(1))
    turn = script.open_id
    assert the_only(script.stage({"asr_ms": 80}, {}, None)).turn_id == turn
    script.done(at(2))
    assert the_only(script.stage({"total_ms": 900}, {}, None)).turn_id == turn


def test_a_stage_before_the_first_turn_is_kept_for_it(script: Script) -> None:
    assert script.stage({"asr_ms": 80}, {"x": 1}, None) == []
    opening = the_only(script.user_text("Hi", at(1)))
    assert (opening.timings, opening.extra) == ({"asr_ms": 80}, {"x": 1})
    script.done(at(2))
    assert the_only(script.user_text("Hi", at(3))).timings == {}


def test_texts_are_limited_for_each_turn(script: Script) -> None:
    script.user_text("a" * 99_999, at(1))
    script.twin_text("a" * 99_999, at(2))
    for check in (script.check_user_text, script.check_twin_text):
        with pytest.raises(InvalidInputError) as caught:
            check("bc", None, *([None] if check == script.check_user_text else []))  # type: ignore[operator]
        assert caught.value.details["limit"] == 100_000
    script.check_twin_text("b", None)


def test_nothing_is_heard_of_a_turn_without_an_answer(script: Script) -> None:
    with pytest.raises(InvalidStateError):
        script.check_heard(None)
    script.user_text("Hi", at(1))
    with pytest.raises(InvalidInputError):
        script.check_heard(None)


def test_late_calls_find_the_last_thousand_turns(script: Script) -> None:
    first = the_only(script.user_text("Hi", at(1)))
    for n in range(1000):
        script.done(at(n))
        script.user_text("Hi", at(n))
    assert the_only(script.user_text("late", at(2), turn_id=first.turn_id)[-1:]).opens
