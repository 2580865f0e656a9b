"""Two people with models: every test runs for voices and for faces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from digitwin.database import Database
from digitwin.models import FaceModel, User, VoiceModel

Model: TypeAlias = VoiceModel | FaceModel
Make: TypeAlias = Callable[..., Awaitable[Model]]


@pytest.fixture(params=["voices", "faces"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two repositories."""
    name: str = request.param
    return name


@pytest.fixture
def models(digitwin_db: Database, kind: str) -> Any:
    """The repository."""
    return getattr(digitwin_db, kind)


async def person(db: Database, name: str) -> User:
    """Somebody who has agreed to a voice and a face."""
    user = await db.users.create(email=f"{name}@example.com", name=name)
    await db.consents.grant(user.id, purpose="voice", evidence={"form": 1})
    await db.consents.grant(user.id, purpose="face", evidence={"form": 1})
    return user


@pytest.fixture
async def ada(digitwin_db: Database) -> User:
    return await person(digitwin_db, "Ada")


@pytest.fixture
async def bob(digitwin_db: Database) -> User:
    return await person(digitwin_db, "Bob")


@pytest.fixture
def make(models: Any, ada: User) -> Make:
    """Store a model of Ada's that is ready, unless a test says something else."""

    async def store(**fields: Any) -> Model:
        model: Model = await models.create(
            **{"user_id": ada.id, "name": "Warm", "status": "ready", **fields}
        )
        return model

    return store


async def active_ids(models: Any, **filters: Any) -> list[Any]:
    """The ids of all the models that are active."""
    return [model.id async for model in models.stream(is_active=True, **filters)]
