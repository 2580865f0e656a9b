"""A search finds the owner's matching documents that the audience may see."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.models import User

LIBRARY = {
    "Opening hours": "The workshop is open from nine to five on weekdays.",
    "Getting here": "Take the tram to the harbour; the workshop is behind the lighthouse.",
    "Pottery class": "We throw bowls on the wheel. The class meets in the workshop.",
    "Glazing": "A glaze of ash and iron turns green in the kiln. The green ash glaze runs.",
    "Firing": "The kiln is fired on weekdays, and iron must wait.",
}


@pytest.fixture
async def library(digitwin_db: Database, ada: User) -> Any:
    """Ada's documents, and a search over them that returns the titles found."""
    rows: Any = [{"user_id": ada.id, "title": t, "content": c} for t, c in LIBRARY.items()]
    await digitwin_db.documents.create_many(rows)

    async def titles(query: str, **options: Any) -> list[str]:
        hits = await digitwin_db.documents.search(query, user_id=ada.id, **options)
        return [hit.document.title for hit in hits]

    return titles


async def test_a_question_finds_what_shares_its_telling_words(library: Any) -> None:
    found = await library("How do I get to the lighthouse from the airport, please?")
    assert found[0] == "Getting here"


async def test_a_rare_word_tells_more_than_a_common_one(library: Any) -> None:
    assert (await library("workshop lighthouse"))[0] == "Getting here"
    assert (await library("lighthouse workshop"))[0] == "Getting here"


async def test_a_word_in_the_title_counts_more(digitwin_db: Database, note: Any, ada: User) -> None:
    await note(title="Bread", content="About tea.")
    await note(title="Tea", content="About bread.")
    hits = await digitwin_db.documents.search("tea", user_id=ada.id)
    assert [hit.document.title for hit in hits] == ["Tea", "Bread"]
    assert hits[0].score > hits[1].score > 0


async def test_words_match_by_their_stem_and_without_case(library: Any) -> None:
    assert await library("LIGHTHOUSES") == ["Getting here"]


async def test_a_phrase_must_stand_there_word_by_word(library: Any) -> None:
    assert await library('"ash glaze"') == ["Glazing"]
    assert await library('"glaze ash"') == []
    assert await library('kiln "on weekdays"') == ["Firing", "Opening hours"]


async def test_or_between_phrases_makes_either_do(library: Any) -> None:
    assert set(await library('"ash glaze" or "behind the lighthouse"')) == {
        "Glazing",
        "Getting here",
    }
    assert await library('"ash glaze" "behind the lighthouse"') == []


async def test_minus_takes_away(library: Any) -> None:
    assert await library("kiln -glaze") == ["Firing"]
    assert await library('kiln -"iron must wait"') == ["Glazing"]
    assert set(await library("workshop -tram -bowls")) == {"Opening hours"}


@pytest.mark.parametrize("query", ["the of and", "-kiln", '"to be or not to be"', "!?", "or"])
async def test_a_query_that_asks_for_nothing_finds_nothing(library: Any, query: str) -> None:
    assert await library(query) == []


@pytest.mark.parametrize("query", ["", "  \n", "x" * 4001, "a\0b", "\udcff"])
async def test_a_query_that_is_none_is_refused(library: Any, query: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        await library(query)
    assert error.value.details["field"] == "query"


@pytest.mark.parametrize(
    ("options", "field"),
    [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"audience": "all"}, "audience")],
)
async def test_bad_options_are_refused_by_name(library: Any, options: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        await library("kiln", **options)
    assert error.value.details["field"] == field


async def test_somebodys_documents_are_searched_or_none(digitwin_db: Database) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.documents.search("kiln")
    assert error.value.details["field"] == "user_id"


async def test_limit_keeps_the_best(library: Any) -> None:
    everything = await library("workshop kiln weekdays")
    assert await library("workshop kiln weekdays", limit=2) == everything[:2]


async def test_another_persons_documents_are_never_found(
    digitwin_db: Database, library: Any, note: Any, bob: User
) -> None:
    await note(user_id=bob.id, title="His kiln")
    assert "His kiln" not in await library("kiln")
    hits = await digitwin_db.for_user(bob.id).documents.search("kiln workshop")
    assert [hit.document.title for hit in hits] == ["His kiln"]


async def test_another_persons_documents_change_neither_hits_nor_scores(
    digitwin_db: Database, library: Any, note: Any, ada: User, bob: User
) -> None:
    async def best() -> list[tuple[str, float]]:
        hits = await digitwin_db.documents.search("kiln glaze", user_id=ada.id, limit=1)
        return [(hit.document.title, hit.score) for hit in hits]

    before = await best()
    await note(user_id=bob.id, title="Kiln, glaze, kiln", content="kiln glaze")
    assert await best() == before != []


async def test_a_deleted_document_is_not_found_until_restored(
    digitwin_db: Database, library: Any, note: Any
) -> None:
    document = await note(content="A lighthouse in the fog.")
    await digitwin_db.documents.delete(document.id)
    assert await library("lighthouse") == ["Getting here"]
    await digitwin_db.documents.restore(document.id)
    assert set(await library("lighthouse")) == {"Getting here", "Note"}


async def test_a_visitor_finds_what_visitors_may_see(library: Any, note: Any) -> None:
    await note(title="For all", content="The kiln is hot.", visibility="visitors")
    assert await library("kiln", audience="visitor") == ["For all"]
    assert len(await library("kiln", audience="owner")) == 3


async def test_hidden_documents_do_not_show_in_a_visitors_scores(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    await note(content="Tea and bread.", visibility="visitors")

    async def score() -> float:
        hits = await digitwin_db.documents.search("tea", user_id=ada.id, audience="visitor")
        return hits[0].score

    before = await score()
    await note(content="Tea, but in secret.")
    assert await score() == before


@pytest.mark.parametrize("status", ["pending", "ready", "failed"])
async def test_a_document_is_found_whatever_its_status(
    library: Any, note: Any, status: str
) -> None:
    await note(title="Zebra", status=status)
    assert await library("zebra") == ["Zebra"]


async def test_changed_content_is_found_at_once(
    digitwin_db: Database, library: Any, note: Any
) -> None:
    document = await note(content="A walrus.")
    await digitwin_db.documents.update(document.id, content="A penguin.")
    assert await library("walrus") == []
    assert await library("penguin") == ["Note"]


async def test_the_headline_marks_the_words_found(
    digitwin_db: Database, library: Any, ada: User
) -> None:
    [hit] = await digitwin_db.documents.search("lighthouse harbours", user_id=ada.id)
    assert "to the «harbour»" in hit.headline
    assert "«lighthouse»" in hit.headline


async def test_the_headline_shows_where_the_phrase_stands(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    filler = "Some kiln, somewhere. " + "And nothing to say about it at all. " * 30
    await note(content=f"{filler} Then a kiln door opened.")
    [hit] = await digitwin_db.documents.search('"kiln door"', user_id=ada.id)
    assert "«kiln» «door»" in hit.headline


async def test_a_long_document_is_found_by_its_end(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    await note(content="much text " * 20_000 + "and a walrus")
    [hit] = await digitwin_db.documents.search("walrus", user_id=ada.id)
    assert hit.headline


ODD = st.lists(st.sampled_from([*"ab '\"\\-|&!():*<>«» \n\t%$1{}", "or ", "kiln "])).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=(st.text() | ODD).filter(lambda text: text.strip() and "\0" not in text))
async def test_no_text_a_person_types_is_an_error(library: Any, query: str) -> None:
    assert set(await library(query)) <= LIBRARY.keys()
