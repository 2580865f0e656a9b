"""``digitwin export conversations``, and the import of what it writes and of models' histories."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from typer.testing import Result

from digitwin.conversations.participant import Participant
from digitwin.database import Database
from digitwin.models import User

Cli = Callable[..., Awaitable[Result]]


async def talks(db: Database, ada: User, count: int = 3) -> None:
    for n in range(count):
        sam = Participant(kind="guest", name=f"Sam {n}")
        session = await db.sessions.start(ada.id, external_id=f"call-{n}", participant=sam)
        await db.sessions.add_turn(session.id, user_text=f"Question {n}", twin_text="Yes.")
        await db.sessions.end(session.id)


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_an_export_is_imported_for_another_user(
    digitwin_db: Database, ada: User, bob: User, cli: Cli, tmp_path: Path
) -> None:
    await talks(digitwin_db, ada)
    file = tmp_path / "talks.jsonl"
    said = await cli("export", "conversations", "--user", ada.email, "--output", str(file))
    assert said.exit_code == 0, said.output
    assert file.stat().st_mode & 0o077 == 0
    assert sum(line.get("type") == "session" for line in lines_of(file)) == 3
    again = await cli("export", "conversations", "--user", ada.email, "--output", str(file))
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
    command = ("import", "conversations", str(file), "--user", bob.email)
    taken = await cli(*command)
    assert taken.exit_code == 0, taken.output
    assert "3  conversations added" in taken.stdout
    assert await digitwin_db.sessions.count(user_id=bob.id) == 3
    report = json.loads((await cli(*command, "--json")).stdout)
    assert (report["conversations"], report["skipped"], report["bad"]) == (0, 3, [])


async def test_one_conversation_is_exported_by_its_id(
    digitwin_db: Database, ada: User, bob: User, cli: Cli, tmp_path: Path
) -> None:
    await talks(digitwin_db, ada)
    session = (await digitwin_db.sessions.list(external_id="call-1")).items[0]
    command = ("export", "conversations", "--session", str(session.id), "--output")
    said = await cli(*command, str(tmp_path / "one.jsonl"), "--user", ada.email)
    assert said.exit_code == 0, said.output
    found = [line for line in lines_of(tmp_path / "one.jsonl") if line.get("type") == "turn"]
    assert [turn["user_text"] for turn in found] == ["Question 1"]
    other = await cli(*command, str(tmp_path / "other.jsonl"), "--user", bob.email)
    assert (other.exit_code, other.stderr) == (1, "error: session not found\n")
    assert not (tmp_path / "other.jsonl").exists()


async def test_a_refused_conversation_does_not_stop_the_others(
    digitwin_db: Database, ada: User, bob: User, cli: Cli, tmp_path: Path
) -> None:
    await talks(digitwin_db, ada)
    file = tmp_path / "talks.jsonl"
    await cli("export", "conversations", "--user", ada.email, "--output", str(file))
    rows = lines_of(file)
    of_the_second = [n for n, row in enumerate(rows) if row.get("type") == "turn"][1]
    rows[of_the_second]["mood"] = "calm"
    file.write_text("\n\n".join(map(json.dumps, rows)), "utf-8")
    said = await cli("import", "conversations", str(file), "--user", bob.email)
    assert said.exit_code == 1
    assert "2  conversations added" in said.stdout
    assert f"talks.jsonl:{2 * of_the_second + 1}: unknown field 'mood'" in said.stdout


async def test_histories_of_models_are_imported(
    digitwin_db: Database, ada: User, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "histories.jsonl"
    hello = {"role": "user", "content": "Hello"}
    lines = [{"id": "h-1", "messages": [hello]}, [hello], {"messages": [{"role": "dog"}]}, {}]
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    command = ("import", "conversations", str(file), "--from", "openai")
    said = await cli(*command, "--user", ada.email)
    assert said.exit_code == 1
    assert "2  conversations added" in said.stdout
    assert "histories.jsonl:3: messages[0]: role must be one of" in said.stdout
    assert "histories.jsonl:4: messages must be a list of messages" in said.stdout
    sessions = (await digitwin_db.sessions.list(user_id=ada.id)).items
    assert {session.end_reason for session in sessions} == {"imported"}
    no_owner = await cli(*command)
    assert (no_owner.exit_code, "needs --user" in no_owner.stderr) == (1, True)
