"""What a search finds, in which order, and how it shows it: the same with the index and without."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.models import ConversationSession, User
from tests.integration.conversations.search.conftest import Find, Tell, places

TALK = (
    "We went sailing around the islands",
    "The kiln was too hot for the green glaze",
    "Sailing needs wind, and the kiln needs wood",
    "Nothing but rain today",
)


@pytest.fixture
async def talk(tell: Tell) -> ConversationSession:
    return await tell(*TALK)


async def test_words_are_found_by_their_stem_in_any_case(find: Find, talk: Any) -> None:
    assert places(await find("SAIL")) == [3, 1]


async def test_a_turn_with_more_of_the_words_comes_first(find: Find, talk: Any) -> None:
    assert places(await find("the glaze in a hot kiln")) == [2, 3]


async def test_a_rare_word_weighs_more_than_a_common_one(find: Find, tell: Tell) -> None:
    await tell("harbour", *["tram"] * 40)
    hits = await find("tram harbour")
    assert places(hits[:1]) == [1]
    assert hits[0].score > hits[1].score > 0


async def test_of_equal_turns_the_newest_comes_first(find: Find, tell: Tell) -> None:
    first, second = await tell("apples", "apples"), await tell("apples")
    hits = await find("apples")
    assert [(hit.session_id, hit.position) for hit in hits] == [
        (second.id, 1),
        (first.id, 2),
        (first.id, 1),
    ]


async def test_newest_requires_every_word(find: Find, talk: Any) -> None:
    assert places(await find("sailing kiln", order="newest")) == [3]
    assert places(await find("the kiln", order="newest")) == [3, 2]


async def test_a_phrase_is_required_as_it_was_said(find: Find, talk: Any) -> None:
    assert places(await find('"green glaze"')) == [2]
    assert places(await find('"glaze green"')) == []
    assert places(await find('kiln "green glaze"')) == [2]
    assert places(await find('"green glaze" or "the islands"')) == [2, 1]


async def test_phrases_are_found_wherever_they_were_said(find: Find, tell: Tell) -> None:
    """In turns that all have all words: a phrase depends on their order alone."""
    names = ("kiln", "glaze", "clay", "wheel")
    said = [" ".join(order) for order in permutations(names)]
    await tell(*said)
    for length in (2, 3, 4):
        for phrase in map(" ".join, permutations(names, length)):
            expected = [n for n, text in enumerate(said, 1) if phrase in text]
            assert sorted(places(await find(f'"{phrase}"', limit=100))) == expected, phrase


async def test_stop_words_keep_their_distance_in_a_phrase(find: Find, talk: Any) -> None:
    assert places(await find('"around the islands"')) == [1]
    assert places(await find('"around islands"')) == []


async def test_a_phrase_does_not_reach_from_question_to_answer(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="I like green", twin_text="Glaze it then")
    await sessions.end(session.id)
    assert places(await find('"green glaze"')) == []
    assert places(await find("green glaze")) == [1]


async def test_minus_excludes_words_and_phrases(find: Find, talk: Any) -> None:
    assert places(await find("kiln -glaze")) == [3]
    assert places(await find('kiln -"needs wood"')) == [2]
    assert places(await find("kiln -kiln")) == []


@pytest.mark.parametrize("query", ["the and of", "submarine", '"the"', "-kiln", "!?", "'\\"])
async def test_no_hit(find: Find, talk: Any, query: str) -> None:
    assert await find(query) == []


async def test_both_sides_are_searched_and_named(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="When is it open?", twin_text="At nine sharp")
    turn = await sessions.add_turn(session.id, twin_text="Anything else?")
    await sessions.end(session.id)
    asked, answered = (await find("open"))[0], (await find("nine"))[0]
    assert (asked.said_by, asked.headline) == ("participant", "When is it «open»?")
    assert (answered.said_by, answered.headline) == ("twin", "At «nine» sharp")
    assert (await find("anything"))[0].turn_id == turn.id


async def test_of_an_interrupted_answer_what_was_heard_is_searched(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(
        session.id, twin_text="First the lighthouse, then the museum", heard_text="First the light"
    )
    await sessions.add_turn(session.id, twin_text="The harbour", heard_text="")
    await sessions.end(session.id)
    assert places(await find("light")) == [1]
    assert await find("museum harbour") == []


async def test_a_long_text_is_shown_around_the_hit(find: Find, tell: Tell) -> None:
    await tell("so it went on " * 100 + "until the lighthouse came in sight " + "and on " * 100)
    headline = (await find("lighthouse"))[0].headline
    assert "«lighthouse»" in headline
    assert headline.startswith("… ")
    assert headline.endswith(" …")
    assert len(headline) < 250


async def test_a_session_and_a_period_limit_the_search(find: Find, tell: Tell) -> None:
    first, second = await tell("apples", "pears"), await tell("apples")
    hits = await find("apples", session_id=first.id)
    assert [hit.session_id for hit in hits] == [first.id]
    at = hits[0].at
    assert [hit.session_id for hit in await find("apples", until=at)] == []
    found = await find("apples", since=at, until=at + timedelta(microseconds=1))
    assert [hit.session_id for hit in found] == [first.id]
    later = await find("apples", since=at + timedelta(microseconds=1))
    assert [hit.session_id for hit in later] == [second.id]


async def test_the_limit_keeps_the_best(find: Find, tell: Tell) -> None:
    await tell(*["apples"] * 70, "apples and pears")
    assert places(await find("apples pears", limit=3)) == [71, 70, 69]
    assert len(await find("apples", limit=1000)) == 71
    assert places(await find('"apples"', limit=2)) == [71, 70]


async def test_many_words_count_their_longest(find: Find, tell: Tell) -> None:
    await tell("an extraordinary lighthouse")
    filler = " ".join(f"w{n}" for n in range(500))
    assert places(await find(f"{filler} extraordinary")) == [1]


async def test_others_are_not_searched(
    digitwin_db: Database, find: Find, tell: Tell, bob: User
) -> None:
    await tell("Bob's apples", owner=bob)
    assert await find("apples") == []
    with pytest.raises(NotFoundError):
        await find("apples", user_id=bob.id)
    assert len(await digitwin_db.sessions.search("apples", user_id=bob.id)) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"query": " "}, "query"),
        ({"query": "x" * 4001}, "query"),
        ({"query": '"a" ' * 33}, "query"),
        ({"query": '-"a" ' * 33}, "query"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"order": "oldest"}, "order"),
        ({"audience": "everybody"}, "audience"),
        ({"session_id": "no id"}, "session_id"),
        ({"participant_id": 7}, "participant_id"),
        ({"user_id": None}, "user_id"),
    ],
)
async def test_bad_input_is_named(
    digitwin_db: Database, ada: User, options: dict[str, Any], field: str
) -> None:
    given = {"query": "apples", "user_id": ada.id, **options}
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.sessions.search(**given)
    assert error.value.details["field"] == field


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(query=st.text(min_size=1, max_size=80).filter(lambda text: text.strip()))
async def test_no_query_is_a_syntax_error(digitwin_db: Database, ada: User, query: str) -> None:
    for order in ("relevance", "newest"):
        with suppress(InvalidInputError):
            await digitwin_db.sessions.search(query, user_id=ada.id, order=order)  # type: ignore[arg-type]
