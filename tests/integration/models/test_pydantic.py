"""Schemas that Tortoise makes of the models, as services with FastAPI use them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from tortoise.contrib.pydantic import pydantic_model_creator

from digitwin import Participant, models
from digitwin.database import Database
from digitwin.models import User
from tests.support.contents import furnish_turn

MODELS = [getattr(models, name) for name in models.__all__]
RELATIONS = {"voice_models", "face_models", "sessions", "documents", "consents"}


@pytest.fixture
async def rows(digitwin_db: Database, ada: User) -> dict[str, Any]:
    """One row of each model, whichever models there are."""
    db = digitwin_db
    await db.consents.grant(ada.id, purpose="voice", evidence="said so")
    voice = await db.voices.create(user_id=ada.id, name="Warm", artifact_uri="s3://warm")
    await db.faces.create(user_id=ada.id, name="Smile")
    await db.documents.create(user_id=ada.id, title="Hours", content="From nine")
    guest = Participant(kind="guest", ref="web-1")
    session = await db.sessions.start(ada.id, participant=guest, voice_model_id=voice.id)
    turn = await db.sessions.add_turn(session.id, user_text="When?", timings={"asr_ms": 80})
    await furnish_turn(db, turn.id)
    bob = await db.users.create(email="bob-who-leaves@example.com", name="Bob")
    await db.users.delete(bob.id)
    found = {model.__name__: await model.first() for model in MODELS}
    assert None not in found.values()
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_a_row_of_every_model_becomes_its_schema(rows: dict[str, Any], model: Any) -> None:
    row = rows[model.__name__]
    made = await pydantic_model_creator(model).from_tortoise_orm(row)
    assert json.loads(made.model_dump_json())["id"] == str(row.id)


async def test_a_queryset_becomes_schemas_with_their_relations(rows: dict[str, Any]) -> None:
    schema = pydantic_model_creator(User)
    (made,) = await schema.from_queryset(User.filter(id=rows["User"].id))
    sessions = {session.id: session for session in made.sessions}
    session = sessions[rows["ConversationTurn"].session_id]
    assert rows["ConversationTurn"].id in [turn.id for turn in session.turns]
    assert "web-1" in [each.participant.ref for each in made.sessions if each.participant]


async def test_a_response_of_fastapi(rows: dict[str, Any], digitwin_db: Database) -> None:
    app, schema = FastAPI(), pydantic_model_creator(User)

    @app.get("/me", response_model=schema)
    async def me() -> Any:
        return await schema.from_tortoise_orm(await digitwin_db.users.get(rows["User"].id))

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = (await client.get("/me")).json()
        document = (await client.get("/openapi.json")).json()
    assert answer["email"] == rows["User"].email
    assert answer.keys() >= RELATIONS
    assert "Hours" in [document["title"] for document in answer["documents"]]
    assert any("voice_models" in each.get("properties", {}) for each in _schemas(document))


async def test_a_row_of_a_scope(rows: dict[str, Any], digitwin_db: Database) -> None:
    mine = await digitwin_db.for_user(rows["User"].id).users.get(rows["User"].id)
    made = await pydantic_model_creator(User).from_tortoise_orm(mine)
    assert rows["VoiceModel"].id in [voice.id for voice in made.voice_models]


def test_a_schema_made_before_a_handle_is_open_has_the_relations() -> None:
    code = (
        "from tortoise.contrib.pydantic import pydantic_model_creator;"
        "from digitwin.models import User;"
        "print(*pydantic_model_creator(User).model_fields)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) >= RELATIONS


def _schemas(document: Any) -> list[Any]:
    return list(document["components"]["schemas"].values())
