"""Bob asks for what is Ada's, by every method that takes an id: to him it does not exist."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from digitwin.database import MAX_SCOPES, Database
from digitwin.errors import DigiTwinError, NotFoundError
from digitwin.handle.scopes import UserScope
from digitwin.kernel.connection.connections import WHO, Connection
from digitwin.kernel.primitives.ids import uuid7
from tests.integration.scopes.conftest import Belongings

REPOSITORIES = {
    "users": "user",
    "voices": "voice",
    "faces": "face",
    "sessions": "session",
    "documents": "document",
}
GIVEN: dict[str, dict[str, Any]] = {
    "update": {"metadata": {"mine": True}},
    "add_items": {"items": [{"kind": "custom"}]},
    "add_turn": {"user_text": "x"},
    "add_usage": {"kind": "llm"},
    "add_turns": {"new_turns": [{"user_text": "x"}]},
    "amend_turn": {"user_text": "x"},
    "add_artifact": {"kind": "file", "artifact_uri": "s3://x"},
    "search": {"query": "secret"},
    "complete": {"worker": "w"},
    "fail": {"error": "x", "worker": "w"},
}
OF_A_PERSON: dict[str, dict[str, Any]] = {
    "create": {"name": "x", "title": "x", "content": "x"},
    "search": {"query": "secret"},
    "claim": {"worker": "w", "lease_seconds": 1},
    "import_lines": {"lines": []},
    "import_openai": {"messages": []},
    "import_langchain": {"messages": []},
}
"""What methods need besides an id that is not theirs: of a thing, and of a person."""
ABOUT_NOBODY = {"create_many", "get_by_email", "find_by_email"}
"""They take no single id: rows and addresses are tried below."""
FINDS = {"find", "find_artifact", "search"}
"""They find nothing, which is no error."""
STREAMS = ("stream", "export")
STARTS = ("create", "start", "start_or_get")
"""Their id is that of a new row."""


def methods(owner: bool) -> Iterator[tuple[str, str]]:
    """Every public method that takes the id of a thing, or of an owner."""
    for repository, kind in _types().items():
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            names = inspect.signature(method).parameters
            wanted = {"user_id"} if owner else {"id", "session_id", "turn_id"}
            if name[0] != "_" and wanted & names.keys() and name not in STARTS:
                yield repository, name


def _types() -> dict[str, type]:
    from digitwin.conversations.repository import ConversationSessionRepository
    from digitwin.knowledge.repository import KnowledgeDocumentRepository
    from digitwin.likeness.repository import FaceModelRepository, VoiceModelRepository
    from digitwin.users.repository import UserRepository

    return {
        "users": UserRepository,
        "voices": VoiceModelRepository,
        "faces": FaceModelRepository,
        "sessions": ConversationSessionRepository,
        "documents": KnowledgeDocumentRepository,
    }


async def outcome(scope: UserScope, repository: str, name: str, **ids: Any) -> Any:
    method = getattr(getattr(scope, repository), name)
    given = ids | GIVEN.get(name, {})
    if repository == "users" and name == "update":
        given = ids | {"name": "Mine"}
    try:
        answer = method(**given)
        return [item async for item in answer] if name in STREAMS else await answer
    except DigiTwinError as error:
        return error


def ids_for(repository: str, name: str, of: Belongings) -> dict[str, UUID]:
    names = inspect.signature(getattr(_types()[repository], name)).parameters
    kept = name.endswith("_artifact")
    found = {"id": of.artifact if kept else getattr(of, REPOSITORIES[repository])}
    found |= {"session_id": of.session, "turn_id": of.turn}
    return {name: value for name, value in found.items() if name in names}


def masked(error: object, of: Belongings) -> str:
    text = f"{type(error).__name__} {error} {getattr(error, 'details', error)}"
    for value in of:
        text = text.replace(str(value), "…")
    return text


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement, as it goes to the server."""
    statements: list[str] = []
    ask = Connection.ask

    async def told(self: Connection, method: str, sql: str, *args: Any) -> Any:
        if sql != WHO:  # sent once for each connection
            statements.append(sql)
        return await ask(self, method, sql, *args)

    monkeypatch.setattr(Connection, "ask", told)
    return statements


@pytest.mark.parametrize(("repository", "name"), list(methods(owner=False)))
async def test_what_is_anothers_is_as_what_is_nobodys(
    digitwin_db: Database,
    ada: Belongings,
    bob: Belongings,
    sent: list[str],
    repository: str,
    name: str,
) -> None:
    his = digitwin_db.for_user(bob.user)
    nobodys = Belongings(*(uuid7() for _ in ada))
    answers, statements = [], []
    for of in (ada, nobodys):
        sent.clear()
        answer = await outcome(his, repository, name, **ids_for(repository, name, of))
        answers.append(masked(answer, of))
        statements.append([sql for sql in sent if "audit_logs" not in sql])
    assert answers[0] == answers[1]
    assert statements[0] == statements[1]
    assert answers[0].startswith("NotFoundError") or name in FINDS
    assert "secret" not in answers[0]


@pytest.mark.parametrize(("repository", "name"), list(methods(owner=True)))
async def test_another_person_is_not_found(
    digitwin_db: Database, ada: Belongings, bob: Belongings, repository: str, name: str
) -> None:
    """Also with an id of one's own: two people are asked for at once."""
    his = digitwin_db.for_user(bob.user)
    given = ids_for(repository, name, bob) | OF_A_PERSON.get(name, {})
    error = await outcome(his, repository, name, **given, user_id=ada.user)
    assert isinstance(error, NotFoundError) or error is None, error


@pytest.mark.parametrize("repository", ["voices", "faces", "sessions", "documents"])
@pytest.mark.parametrize("many", [False, True])
async def test_nothing_is_made_for_another(
    digitwin_db: Database, ada: Belongings, bob: Belongings, repository: str, many: bool
) -> None:
    his: Any = getattr(digitwin_db.for_user(bob.user), repository)
    fields: dict[str, Any] = {
        "sessions": {},
        "documents": {"title": "x", "content": "x"},
    }.get(repository, {"name": "x"})
    row = {"user_id": ada.user, **fields}
    with pytest.raises(NotFoundError):
        await (his.create_many([row]) if many else his.create(**row))
    hers: Any = getattr(digitwin_db, repository)
    assert await hers.count(user_id=ada.user) == 1


async def test_nobody_else_is_made_or_found_by_address(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    his = digitwin_db.for_user(bob.user).users
    assert await his.find_by_email("ada@example.com") is None
    with pytest.raises(NotFoundError):
        await his.get_by_email("ada@example.com")
    with pytest.raises(NotFoundError):
        await his.create(id=uuid7(), email="new@example.com", name="New")


async def test_a_worker_of_ones_own_gets_ones_own(
    digitwin_db: Database, ada: Belongings, bob: Belongings
) -> None:
    his = digitwin_db.for_user(bob.user).documents
    claimed = await his.claim(worker="w", lease_seconds=60)
    assert claimed is not None
    assert claimed.document.id == bob.document
    assert await his.claim(worker="w", lease_seconds=60) is None


@pytest.mark.parametrize("linked", ["voice_model_id", "face_model_id"])
async def test_a_session_does_not_take_anothers_model(
    digitwin_db: Database, ada: Belongings, bob: Belongings, linked: str
) -> None:
    his = digitwin_db.for_user(bob.user)
    model = ada.voice if linked == "voice_model_id" else ada.face
    with pytest.raises(NotFoundError):
        await his.sessions.start(**{linked: model})  # type: ignore[arg-type]


async def test_a_visitor_is_not_shown_what_is_the_owners_alone(
    digitwin_db: Database, ada: Belongings
) -> None:
    hers = digitwin_db.for_user(ada.user)
    assert [hit.document.id for hit in await hers.documents.search("secret")] == [ada.document]
    assert await hers.documents.search("secret", audience="visitor") == []
    store = digitwin_db.cache.searches
    await store.set("secret", ["hers"], user_id=ada.user)
    assert await store.get("secret", user_id=ada.user, audience="visitor") is None
    await store.set("secret", ["shown"], user_id=ada.user, audience="visitor")
    assert await store.get("secret", user_id=ada.user) == ["hers"]


def test_every_method_is_tried() -> None:
    """One that takes neither id shows nothing of anybody but the scope's own person."""
    tried = {*methods(owner=False), *methods(owner=True)}
    untried = {
        (repository, name)
        for repository, kind in _types().items()
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if name[0] != "_" and (repository, name) not in tried
    }
    filtered = {"list", "overviews", "stream", "count", "exists"}
    assert {name for _, name in untried} - filtered - ABOUT_NOBODY <= {
        *(*STARTS, "claim"),
        *("complete", "fail", "renew"),  # take a lease: tests/integration/knowledge/test_leases.py
    }


@pytest.mark.parametrize("repository", list(REPOSITORIES))
async def test_what_lists_shows_only_ones_own(
    digitwin_db: Database, ada: Belongings, bob: Belongings, repository: str
) -> None:
    his: Any = getattr(digitwin_db.for_user(bob.user), repository)
    own = getattr(bob, REPOSITORIES[repository])
    assert [row.id for row in (await his.list()).items] == [own]
    assert [row.id async for row in his.stream()] == [own]
    assert await his.count() == 1
    assert await his.exists()


async def test_a_scope_is_kept_for_its_person_and_for_no_other(digitwin_db: Database) -> None:
    people = [uuid7() for _ in range(MAX_SCOPES + 10)]
    first = digitwin_db.for_user(people[0])
    assert digitwin_db.for_user(str(people[0])) is first
    scopes = [digitwin_db.for_user(person) for person in people]
    assert [scope.user_id for scope in scopes] == people
    assert digitwin_db.for_user(people[0]).user_id == people[0]
    assert {scope.users._scope for scope in scopes} == set(people)
