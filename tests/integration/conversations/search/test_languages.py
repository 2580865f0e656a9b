"""Words are found in the language in which they were said."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.kernel.search.words import CONFIGURATIONS, fold, plain, words
from digitwin.models import ConversationSession, User
from tests.integration.conversations.search.conftest import Find, places

SAID = [
    ("de", "Die Häuser am Hafen sind alt", ["Haus", "hauser", "HÄFEN"], ["Boot"]),
    ("de-CH", "Wir haben drei Kinder", ["Kind"], ["Kinderei"]),
    ("fr", "Nous mangeons à l'école", ["mangeons ecoles", "école"], ["cole"]),
    ("es", "Las canciones de la niña", ["cancion", "nina"], ["nino2"]),
    ("ru", "Мы говорили о книгах", ["книга", "говорить"], ["кино"]),
    ("pl", "Mówiliśmy o książkach", ["mowilismy", "KSIĄŻKACH"], ["książka"]),
    ("zh", "我们明天去北京大学", ["北京", "明天", "京"], ["京明", "上海"]),
    ("ja", "東京都に行きたいです", ["東京", "東京都", "行き です"], ["京都府"]),
    ("th", "ฉันชอบกินข้าวผัด", ["ข้าวผัด", "กิน"], ["ทะเล"]),
    ("ko", "저는 서울에서 살아요", ["서울", "살아요"], ["부산"]),
    ("en", "Naïve café owners, ﬁnally!", ["naive", "cafes", "finally"], ["cave"]),
    (None, "The boats were sailing past Zürich", ["boat sail", "zurich"], ["past-tense3"]),
]


@pytest.mark.parametrize(("language", "text", "found", "missed"), SAID)
async def test_a_word_is_found_in_its_language(
    find: Find,
    sessions: Sessions,
    session: ConversationSession,
    language: str | None,
    text: str,
    found: list[str],
    missed: list[str],
) -> None:
    await sessions.add_turn(session.id, user_text=text, language=language)
    await sessions.end(session.id)
    for query in found:
        assert places(await find(query, order="newest")) == [1], query
    for query in missed:
        assert await find(query, order="newest") == [], query


async def test_languages_share_a_session(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    for language, text, _, _ in SAID:
        await sessions.add_turn(session.id, user_text=text, language=language)
    await sessions.end(session.id)
    for position, (_, _, found, _) in enumerate(SAID, 1):
        for query in found:
            assert position in places(await find(query)), query


async def test_a_phrase_of_a_script_without_spaces(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.add_turn(session.id, user_text="明天去北京大学 with Ada", language="zh")
    await sessions.end(session.id)
    assert places(await find('"北京大学"')) == [1]
    assert places(await find('"with Ada"')) == [1]
    assert places(await find('"大学 with Ada"')) == [1]
    assert await find('"上海大学"') == []
    assert "«北京»" in (await find("北京"))[0].headline


@pytest.mark.parametrize("code", sorted(CONFIGURATIONS))
async def test_every_language_is_known_to_the_server(
    digitwin_db: Database, ada: User, session: ConversationSession, code: str
) -> None:
    sessions = digitwin_db.sessions
    await sessions.add_turn(session.id, user_text="lighthouse", language=f"{code.upper()}_XX")
    assert places(await sessions.search("lighthouse", user_id=ada.id)) == [1]


LETTERS = "aZ é Å ñ ß ﬁ Ⅷ ½ 東 京 ｶﾞ が 서 울 ก ำ ข้ 'x_y-z/ \t. « א ב ُ ø"


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.text(alphabet=LETTERS, min_size=1, max_size=12))
async def test_question_and_text_are_read_alike(digitwin_db: Database, text: str) -> None:
    """Every word of a text is among the words that the server reads in it."""
    stored = f"to_tsvector('simple', {plain('said')})"
    asked = "to_tsvector('simple', $2::text)"
    is_found = await digitwin_db._core.db.fetchval(
        f"SELECT tsvector_to_array({asked}) <@ tsvector_to_array({stored})"
        " FROM (SELECT $1::text AS said) AS turn",
        text,
        " ".join(words(text)),
    )
    assert is_found, fold(text)


async def test_beside_other_languages_each_turn_is_compared_in_its_own(
    find: Find, sessions: Sessions, session: ConversationSession
) -> None:
    texts = [("en", "to be or not to be, says Hamlet"), ("de", "sagt Hamlet und isst"), ("xx", "x")]
    for language, text in texts:
        await sessions.add_turn(session.id, user_text=text, language=language)
    await sessions.end(session.id)
    # Stop words of the one language, and words of the other
    assert places(await find('"to be or not to be" hamlet')) == [1]
    assert places(await find("says hamlet", order="newest")) == [1]
    assert places(await find('"und" hamlet', order="newest")) == [2]
