"""``digitwin import``: every utterance and every document, once, whatever is between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from digitwin.database import Database
from digitwin.importing import import_conversations
from digitwin.importing.personas import email_of
from digitwin.models import ConversationSession, User

Cli = Callable[..., Awaitable[Result]]
CONVERSATIONS, TWINS = 40, 7


def conversation(number: int) -> dict[str, Any]:
    """Speakers in no order, and texts that say where they belong."""
    speakers = ["user" if (number * step) % 3 else "twin" for step in range(2 + number % 9)]
    return {
        "id": f"c-{number}",
        "user_traits": [f"I am guest {number}."],
        "twin_traits": [f"I am twin {number % TWINS}.", "I knit."],
        "turns": [
            {"speaker": speaker, "text": f"{number}.{place}"}
            for place, speaker in enumerate(speakers)
        ],
    }


UTTERANCES = sum(len(conversation(number)["turns"]) for number in range(CONVERSATIONS))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    lines = (json.dumps(conversation(number)) for number in range(CONVERSATIONS))
    path.write_text("\n".join(lines), "utf-8")
    return path


async def stored(db: Database) -> dict[str, list[tuple[str, str]]]:
    """Who said what, by the conversation's own id."""
    said = {}
    sessions = [session async for session in db.sessions.stream()]
    for session in sessions:
        with_turns = await db.sessions.with_turns(session.id)
        said[str(session.external_id)] = [
            (speaker, text)
            for turn in with_turns.turns
            for speaker, text in (("user", turn.user_text), ("twin", turn.twin_text))
            if text is not None
        ]
    return said


async def session_of(db: Database, number: int) -> ConversationSession:
    page = await db.sessions.list(external_id=f"c-{number}")
    return page.items[0]


async def test_every_utterance_is_stored_in_order(digitwin_db: Database, file: Path) -> None:
    report = await import_conversations(digitwin_db, file)
    assert await stored(digitwin_db) == {
        f"c-{number}": [(turn["speaker"], turn["text"]) for turn in conversation(number)["turns"]]
        for number in range(CONVERSATIONS)
    }
    assert (report.conversations, report.utterances) == (CONVERSATIONS, UTTERANCES)
    assert report.turns == (await digitwin_db.sessions.statistics()).turns


async def test_one_owner_stands_for_one_set_of_traits(digitwin_db: Database, file: Path) -> None:
    report = await import_conversations(digitwin_db, file)
    assert report.users == TWINS == await digitwin_db.users.count()
    owner = await digitwin_db.users.get_by_email(email_of(["I knit.", "I am twin 3."]))
    assert owner.personality_traits == ["I am twin 3.", "I knit."]
    assert (await session_of(digitwin_db, 3)).user_id == owner.id
    assert (await session_of(digitwin_db, 10)).user_id == owner.id


async def test_a_guest_with_traits_takes_part_and_the_session_is_over(
    digitwin_db: Database, file: Path
) -> None:
    await import_conversations(digitwin_db, file)
    session = await session_of(digitwin_db, 5)
    assert (session.status, session.end_reason) == ("ended", "imported")
    await session.fetch_related("participant")
    participant = session.participant
    assert participant is not None
    assert (participant.kind, participant.traits) == ("guest", ["I am guest 5."])


async def test_a_second_run_adds_nothing(digitwin_db: Database, file: Path) -> None:
    await import_conversations(digitwin_db, file)
    before = await stored(digitwin_db)
    report = await import_conversations(digitwin_db, file)
    assert (report.skipped, report.conversations, report.users) == (CONVERSATIONS, 0, 0)
    assert await stored(digitwin_db) == before


async def test_two_imports_at_once_store_each_conversation_once(
    digitwin_db: Database, file: Path
) -> None:
    one, other = await asyncio.gather(
        import_conversations(digitwin_db, file), import_conversations(digitwin_db, file)
    )
    assert one.conversations + other.conversations == CONVERSATIONS
    assert one.users + other.users == TWINS
    assert (await digitwin_db.sessions.statistics()).turns == one.turns + other.turns


async def test_an_import_that_was_stopped_left_whole_conversations_and_is_gone_on_with(
    digitwin_db: Database, file: Path
) -> None:
    seen = 0

    def progress(size: int) -> None:
        nonlocal seen
        seen += 1
        if seen == CONVERSATIONS // 2:
            importing.cancel()

    importing = asyncio.create_task(import_conversations(digitwin_db, file, progress=progress))
    with pytest.raises(asyncio.CancelledError):
        await importing
    part = await stored(digitwin_db)
    assert 0 < len(part) < CONVERSATIONS
    assert all(
        said == [(turn["speaker"], turn["text"]) for turn in conversation(int(id[2:]))["turns"]]
        for id, said in part.items()
    )
    report = await import_conversations(digitwin_db, file)
    assert (report.skipped, report.skipped + report.conversations) == (len(part), CONVERSATIONS)


async def test_bad_lines_are_listed_and_the_others_are_taken(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    lines = [
        json.dumps(conversation(1)).encode(),
        b"",
        b"{half",
        b'{"id": "\xff"}',
        json.dumps({**conversation(2), "turns": [{"speaker": "dog", "text": "Woof"}]}).encode(),
        json.dumps(conversation(3)).encode(),
    ]
    file.write_bytes(b"\n".join(lines))
    result = await cli("import", "conversations", str(file))
    assert result.exit_code == 1
    assert "2  conversations added" in result.stdout
    assert "3  lines could not be imported" in result.stdout
    assert "mixed.jsonl:3: the line is not valid JSON" in result.stdout
    assert "mixed.jsonl:4: the line is not valid UTF-8" in result.stdout
    assert "mixed.jsonl:5: turns[0].speaker must be 'user' or 'twin'" in result.stdout


async def test_both_counts_are_printed_and_come_as_json(cli: Cli, file: Path) -> None:
    said = await cli("import", "conversations", str(file))
    assert said.exit_code == 0, said.output
    assert f"{CONVERSATIONS}  conversations added" in said.stdout
    assert f"{UTTERANCES}  utterances in them" in said.stdout
    again = json.loads((await cli("import", "conversations", str(file), "--json")).stdout)
    assert (again["conversations"], again["utterances"]) == (0, 0)
    assert (again["skipped"], again["bad"]) == (CONVERSATIONS, [])


async def test_a_missing_file_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    result = await cli("import", "conversations", str(tmp_path / "nothing.jsonl"))
    assert result.exit_code == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    (root / "more").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "hours.txt").write_text("Opening hours\n\nFrom nine.", "utf-8")
    (root / "cakes.md").write_text("# What we bake\n\nPlum cake.", "utf-8")
    (root / "more" / "pep.rst").write_text("Title: Coroutines\n\n\nAbstract\n========\n", "utf-8")
    (root / "copy-of-hours.txt").write_text("Opening hours\n\nFrom nine.", "utf-8")
    (root / "picture.png").write_bytes(b"\x89PNG")
    (root / ".git" / "notes.txt").write_text("hidden", "utf-8")
    return root


@pytest.fixture
async def owner(digitwin_db: Database) -> User:
    return await digitwin_db.users.create(email="ada@example.com", name="Ada")


async def test_a_folder_becomes_documents_with_their_own_titles(
    digitwin_db: Database, owner: User, cli: Cli, folder: Path
) -> None:
    result = await cli("import", "documents", str(folder), "--user", "Ada@Example.com")
    assert result.exit_code == 0, result.output
    documents = (await digitwin_db.documents.list(user_id=owner.id)).items
    found = sorted((d.title, d.content_type, d.source_uri) for d in documents)
    assert found in [
        [
            ("Coroutines", "text/x-rst", "more/pep.rst"),
            ("Opening hours", "text/plain", one_of_two_copies),
            ("What we bake", "text/markdown", "cakes.md"),
        ]
        for one_of_two_copies in ("copy-of-hours.txt", "hours.txt")  # both are sent at once
    ]
    assert "3  documents added" in result.stdout
    assert "1  documents skipped, they exist" in result.stdout


async def test_a_second_run_adds_no_document(
    digitwin_db: Database, owner: User, cli: Cli, folder: Path
) -> None:
    command = ("import", "documents", str(folder), "--user", owner.email, "--json")
    assert json.loads((await cli(*command)).stdout)["documents"] == 3
    again = json.loads((await cli(*command)).stdout)
    assert (again["documents"], again["skipped"]) == (0, 4)
    assert await digitwin_db.documents.count(user_id=owner.id) == 3


async def test_files_that_cannot_be_taken_are_listed_with_their_line(
    digitwin_db: Database, owner: User, cli: Cli, folder: Path
) -> None:
    (folder / "latin.txt").write_bytes(b"one\ntwo \xe9\n")
    (folder / "nul.md").write_bytes(b"one\n\ntwo \0\n")
    (folder / "empty.rst").write_bytes(b" \n")
    result = await cli("import", "documents", str(folder), "--user", owner.email)
    assert result.exit_code == 1
    assert "latin.txt:2: is not valid UTF-8" in result.stdout
    assert "nul.md:3: content must not contain a NUL character" in result.stdout
    assert "empty.rst:1: the file is empty" in result.stdout
    assert await digitwin_db.documents.count(user_id=owner.id) == 3


async def test_an_unknown_user_is_told_in_one_line(cli: Cli, folder: Path) -> None:
    result = await cli("import", "documents", str(folder), "--user", "nobody@example.com")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
