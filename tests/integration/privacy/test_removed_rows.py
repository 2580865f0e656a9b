"""Whoever removes a row with the address of an artifact queues the artifact's deletion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import DigiTwinError, NotFoundError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.privacy.artifacts import Artifact
from digitwin.users.retention import DeletionRetention
from tests.integration.privacy.conftest import ARTIFACT, FACE, Person

FILE = "s3://files/ada-drawing-1843.png"

Way = Callable[[Database, Any, Person], Awaitable[Any]]


async def _in_the_end(db: Database, parts: Any, ada: Person) -> None:
    """What was deleted before its owner goes with the owner, if that deletion comes first."""
    await parts.sessions.delete(ada.session)
    await parts.voices.delete(ada.voice)
    await parts.users.delete(ada.id)
    await db._core.db.execute(
        "UPDATE deletions SET deleted_at = deleted_at - interval '1 day' WHERE resource = 'user'"
    )
    await DeletionRetention(db._core, db.cache, [db.privacy.before_final]).make_final(3600)


async def _by_models(db: Database, parts: Any, ada: Person) -> None:
    (face,) = (await parts.faces.list(user_id=ada.id)).items
    await parts.voices.delete(ada.voice)
    await parts.voices.hard_delete(ada.voice)
    await parts.faces.hard_delete(face.id)
    await parts.sessions.hard_delete(ada.session)


WAYS: dict[str, Way] = {
    "hard_delete": lambda db, parts, ada: parts.users.hard_delete(ada.id),
    "the end of a deletion": _in_the_end,
    "each by itself": _by_models,
}
SCOPES: dict[str, Callable[[Database, Person], Any]] = {
    "unscoped": lambda db, ada: db,
    "for_user": lambda db, ada: db.for_user(ada.id),
    "for_service": lambda db, ada: db.for_service(reason="x"),
}


@pytest.fixture
async def ada(ada: Person, digitwin_db: Database) -> Person:
    await digitwin_db.sessions.add_artifact(ada.session, kind="file", artifact_uri=FILE)
    return ada


async def delivered(db: Database) -> list[str]:
    """The addresses that the hook is asked to delete."""
    asked: list[str] = []

    async def hook(artifact: Artifact) -> None:
        asked.append(artifact.address)

    db.privacy.artifacts.deleter = hook
    await db.privacy.deliver()
    return sorted(asked)


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_is_queued(digitwin_db: Database, ada: Person, way: Way, scope: Any) -> None:
    await way(digitwin_db, scope(digitwin_db, ada), ada)
    assert await delivered(digitwin_db) == sorted([FILE, FACE, ARTIFACT])


async def test_a_rollback_queues_nothing(digitwin_db: Database, ada: Person) -> None:
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.users.hard_delete(ada.id)
            raise ZeroDivisionError
    assert await delivered(digitwin_db) == []


async def test_one_that_cannot_be_decrypted_keeps_nobody(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "UPDATE voice_models SET artifact_uri = face_models.artifact_uri FROM face_models"
    )
    await digitwin_db.voices.hard_delete(ada.voice)
    await digitwin_db.users.hard_delete(ada.id)
    assert await delivered(digitwin_db) == sorted([FILE, FACE])


async def test_a_missing_model_is_not_found(digitwin_db: Database, ada: Person) -> None:
    other = await digitwin_db.users.create(email="eve@example.com", name="Eve")
    for repository in (digitwin_db.voices, digitwin_db.for_user(other.id).voices):
        with pytest.raises(NotFoundError):
            await repository.hard_delete(uuid7() if repository is digitwin_db.voices else ada.voice)
    assert await delivered(digitwin_db) == []


async def test_an_erasure_that_was_interrupted_delays_no_other_deletion(
    digitwin_db: Database, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise DigiTwinError("down")

    with monkeypatch.context() as patch:
        patch.setattr(type(digitwin_db.keys), "destroy", fail)
        with pytest.raises(DigiTwinError):
            await digitwin_db.privacy.erase(ada.id, reason="x")
    await digitwin_db.users.hard_delete(ada.id)
    assert await delivered(digitwin_db) == sorted([FILE, FACE, ARTIFACT])
