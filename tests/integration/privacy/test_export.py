"""One archive with everything that is held, of one moment, for people and for programs."""

from __future__ import annotations

import asyncio
import os
import stat
import tracemalloc
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError
from digitwin.kernel.repository.ports import EncryptedRow
from digitwin.privacy.export import FORMAT, VERSION
from tests.integration.privacy.conftest import (
    ARTIFACT,
    ASKED,
    HEARD,
    SAID,
    TAUGHT,
    Archive,
    Person,
    read,
    visit,
)
from tests.support.tables import PERSONAL

EXPORTED = [table.name for table in PERSONAL if table.data.exported]
ELSEWHERE = [table.name for table in PERSONAL if table.data.as_participant]


async def test_something_of_every_table_is_in_it(
    digitwin_db: Database, ada: Person, bob: Person, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO consents (user_id, id, purpose, evidence)"
        " VALUES ($1, gen_random_uuid(), 'voice', '{\"form\": 7}')",
        ada.id,
    )
    await visit(digitwin_db, bob.id, ada.id)
    archive = await read(digitwin_db.privacy.export(ada.id))
    counts = archive.json("manifest.json")["rows"]
    assert {name for name, count in counts.items() if count} == {
        *(f"data/{table}.ndjson" for table in EXPORTED),
        *(f"elsewhere/{table}.ndjson" for table in ELSEWHERE),
    }
    for name, count in counts.items():
        assert len(archive.rows(name)) == count
    assert counts["data/knowledge_documents.ndjson"] == 2  # the deleted one, too
    assert str(bob.id) not in "".join(
        archive.text(name) for name in counts if name.startswith("data/")
    )


async def test_values_are_as_they_were_given(digitwin_db: Database, ada: Person) -> None:
    archive = await read(digitwin_db.privacy.export(str(ada.id)))
    (voice,) = archive.rows("data/voice_models.ndjson")
    assert voice["artifact_uri"] == ARTIFACT
    (face,) = archive.rows("data/face_models.ndjson")
    assert face["checksum"] == "sha256:aa"
    (embedding,) = archive.rows("data/embedding_cache.ndjson")
    assert embedding["value"] == [0.5, 0.25]
    (found,) = archive.rows("data/vector_search_cache.ndjson")
    assert found["value"] == [{"text": TAUGHT}]
    (turn,) = archive.rows("data/conversation_turns.ndjson")
    assert (turn["user_text"], turn["twin_text"], turn["asr_ms"]) == (SAID, HEARD, 80)
    assert turn["created_at"].endswith("+00:00")
    (person,) = archive.rows("data/users.ndjson")
    assert person["settings"] == {"passport": "passport-1815"}


async def test_the_schema_tells_every_field(digitwin_db: Database, ada: Person) -> None:
    archive = await read(digitwin_db.privacy.export(ada.id))
    schema = archive.json("schema.json")
    assert (schema["format"], schema["version"]) == (FORMAT, VERSION)
    for name in archive.json("manifest.json")["rows"]:
        told = schema["files"][name]["fields"]
        for row in archive.rows(name):
            assert row.keys() == told.keys()


async def test_the_page_needs_nothing_and_runs_nothing(digitwin_db: Database, ada: Person) -> None:
    script = "<script>alert(1)</script>"
    await digitwin_db.users.update(ada.id, name=f'"{script}')
    text = (await read(digitwin_db.privacy.export(ada.id))).text("index.html")
    assert script not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "loves &lt;b&gt;looms&lt;/b&gt; &amp; punchcards" in text
    assert "src=" not in text
    assert "http://" not in text
    assert "https://" not in text


async def test_it_shows_one_moment(digitwin_db: Database, ada: Person) -> None:
    chunks = aiter(digitwin_db.privacy.export(ada.id))
    data = [await anext(chunks)]
    await digitwin_db.sessions.add_turn(ada.session, user_text="Added meanwhile")
    data += [chunk async for chunk in chunks]
    turns = "data/conversation_turns.ndjson"
    assert Archive(b"".join(data)).json("manifest.json")["rows"][turns] == 1
    archive = await read(digitwin_db.privacy.export(ada.id))
    assert archive.json("manifest.json")["rows"][turns] == 2


async def test_memory_stays_small_however_much_is_held(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await raw.execute(
        "INSERT INTO conversation_turns (user_id, session_id, position, id, user_text)"
        " SELECT $1, $2, n, gen_random_uuid(), repeat(md5(n::text), 1000)"
        " FROM generate_series(2, 2001) AS n",
        ada.id,
        ada.session,
    )
    tracemalloc.start()
    size = 0
    async for chunk in digitwin_db.privacy.export(ada.id):
        size += len(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20  # of 64 MB of text


async def test_it_is_written_to_a_file_for_its_owner_alone(
    digitwin_db: Database, ada: Person, tmp_path: Path
) -> None:
    goal = tmp_path / "ada.zip"
    size = await digitwin_db.privacy.export(ada.id).write_to(goal)
    assert goal.stat().st_size == size
    assert stat.S_IMODE(goal.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [goal.name]


async def test_what_fails_leaves_no_file(digitwin_db: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await digitwin_db.privacy.export(uuid4()).write_to(tmp_path / "nobody.zip")
    assert os.listdir(tmp_path) == []


async def test_somebody_unknown_is_not_found(digitwin_db: Database) -> None:
    with pytest.raises(NotFoundError, match="user not found"):
        await read(digitwin_db.privacy.export(uuid4()))
    with pytest.raises(NotFoundError, match="participant not found"):
        await read(digitwin_db.privacy.export_participant(kind="guest", ref="web-81f3"))
    with pytest.raises(InvalidInputError, match="user_id"):
        digitwin_db.privacy.export("ada")
    with pytest.raises(InvalidInputError, match="ref"):
        digitwin_db.privacy.export_participant(kind="guest", ref="")


async def test_a_value_nobody_can_read_any_more_is_said_to_be_so(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    place = EncryptedRow("voice_models", ada.id, ada.voice)
    sealed = await digitwin_db.keys.encrypt(place, {"artifact_uri": ARTIFACT})
    await raw.execute("UPDATE voice_models SET artifact_uri = $1", sealed["artifact_uri"])
    archive = await read(digitwin_db.privacy.export(ada.id))
    assert archive.rows("data/voice_models.ndjson")[0]["artifact_uri"] == ARTIFACT
    await digitwin_db.keys.destroy(ada.id)
    archive = await read(digitwin_db.privacy.export(ada.id))
    assert archive.rows("data/voice_models.ndjson")[0]["artifact_uri"] is None
    assert archive.json("manifest.json")["unreadable_values"] >= 1


async def test_plain_text_in_an_encrypted_column_is_not_exported_as_genuine(
    digitwin_db: Database, ada: Person, raw: asyncpg.Connection
) -> None:
    await raw.execute("ALTER TABLE voice_models DROP CONSTRAINT ck_voice_models__artifact_uri")
    await raw.execute("UPDATE voice_models SET artifact_uri = 's3://evil'")
    archive = await read(digitwin_db.privacy.export(ada.id))
    assert archive.rows("data/voice_models.ndjson")[0]["artifact_uri"] is None
    assert archive.json("manifest.json")["unreadable_values"] == 1


async def test_a_participants_export_crosses_owners(
    digitwin_db: Database, ada: Person, bob: Person
) -> None:
    archive = await read(digitwin_db.privacy.export_participant(kind="guest", ref="web-81f3"))
    turns = archive.rows("data/conversation_turns.ndjson")
    assert {turn["user_id"] for turn in turns} == {str(ada.id), str(bob.id)}
    assert [turn["user_text"] for turn in turns] == [SAID, SAID]
    names = archive.zip.namelist()
    assert "data/users.ndjson" not in names
    assert "Lovelace" not in "".join(archive.text(name) for name in names)


async def test_what_the_person_said_elsewhere_is_in_it(
    digitwin_db: Database, ada: Person, bob: Person
) -> None:
    await visit(digitwin_db, bob.id, ada.id)
    archive = await read(digitwin_db.privacy.export(ada.id))
    (turn,) = archive.rows("elsewhere/conversation_turns.ndjson")
    assert turn["user_text"] == ASKED
    assert turn["user_id"] == str(bob.id)


async def test_that_it_was_done_is_recorded(digitwin_db: Database, ada: Person) -> None:
    await read(digitwin_db.privacy.export(ada.id))
    page = await digitwin_db.audit.list(action="user.export")
    assert [record.user_id for record in page.items] == [ada.id]


async def test_an_export_left_early_gives_its_connection_back(
    digitwin_db: Database, ada: Person
) -> None:
    for _ in range(12):
        chunks = digitwin_db.privacy.export(ada.id)._chunks()
        await anext(chunks)
        await chunks.aclose()
    await asyncio.gather(*(digitwin_db.users.get(ada.id) for _ in range(20)))
    assert digitwin_db._core.pool.in_use == 0
