"""A file that is wrong or hostile: the line and the field are named, nothing is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from digitwin.conversations.transcripts.lines import MAX_LINE
from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    DigiTwinError,
    InvalidInputError,
    NotFoundError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import ConversationSession, User
from tests.integration.conversations.transcripts.conftest import exported
from tests.integration.conversations.transcripts.generated import HEADER

SECRET = "the lease is signed in March"
TURN, OTHER, SPEAKER = (str(uuid7()) for _ in range(3))
SESSION = {"type": "session", "id": str(uuid7()), "participant_id": SPEAKER}
SAM = {"type": "participant", "id": SPEAKER, "kind": "guest"}
SAID = {"type": "turn", "id": TURN, "user_text": SECRET}
END = {"type": "end"}


def file(*lines: Any) -> list[str]:
    return [line if isinstance(line, str) else json.dumps(line) for line in lines]


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no format": (file(SESSION, END), 1, "format"),
    "another format": (file({"format": "chat"}), 1, "format"),
    "a later major version": (file({**HEADER, "version": "2.0"}), 1, "version"),
    "no version": (file({"format": HEADER["format"]}), 1, "version"),
    "a version that is a number": (file({**HEADER, "version": 1.0}), 1, "version"),
    "not JSON": (file(HEADER, "{" + SECRET), 2, "line"),
    "no object": (file(HEADER, json.dumps([SECRET])), 2, "line"),
    "deep": (file(HEADER, "[" * 100_000), 2, "line"),
    "deep within a field": (
        file(
            HEADER,
            SESSION,
            {"type": "item", "kind": "custom", "payload": json.loads("[" * 80 + "]" * 80)},
        ),
        3,
        "payload",
    ),
    "a number of a million digits": (file(HEADER, '{"type":' + "9" * 1_000_000 + "}"), 2, "line"),
    "a number beyond a float": (
        file(HEADER, SESSION, '{"type":"item","kind":"custom","payload":{"n":1' + "0" * 400 + "}}"),
        3,
        "payload",
    ),
    "NaN": (file(HEADER, SESSION, '{"type":"turn","extra":{"n":NaN}}'), 3, "extra"),
    "a lone surrogate": (
        file(HEADER, SESSION, '{"type":"turn","user_text":"\\ud800"}'),
        3,
        "user_text",
    ),
    "a NUL": (file(HEADER, SESSION, '{"type":"turn","user_text":"\\u0000"}'), 3, "user_text"),
    "an unknown type": (file(HEADER, {"type": SECRET}), 2, "type"),
    "a type that is no text": (file(HEADER, {"type": [SECRET]}), 2, "type"),
    "an unknown field": (file(HEADER, {**SESSION, "mood": SECRET}), 2, "mood"),
    "a nil id": (file(HEADER, {**SESSION, "id": "0" * 32}), 2, "id"),
    "no id": (file(HEADER, {**SESSION, "id": SECRET}), 2, "id"),
    "no kind": (file(HEADER, SESSION, {"type": "participant", "id": SPEAKER}), 3, "kind"),
    "a long text": (
        file(HEADER, SESSION, SAM, {**SAID, "user_text": "x" * 100_001}),
        4,
        "user_text",
    ),
    "a time without a zone": (
        file(HEADER, {**SESSION, "started_at": "2026-01-01T09:00"}),
        2,
        "started_at",
    ),
    "a time that is a number": (file(HEADER, {**SESSION, "started_at": 1e9}), 2, "started_at"),
    "an end before the beginning": (
        file(
            HEADER,
            SESSION,
            SAM,
            {**SAID, "started_at": "2026-01-02T00:00Z", "ended_at": "2026-01-01T00:00Z"},
        ),
        4,
        "ended_at",
    ),
    "an open turn that has ended": (
        file(HEADER, SESSION, SAM, {**SAID, "status": "open", "ended_at": "2026-01-01T00:00Z"}),
        4,
        "ended_at",
    ),
    "heard, but not said": (
        file(HEADER, SESSION, SAM, {**SAID, "heard_text": SECRET}),
        4,
        "heard_text",
    ),
    "an active session that has ended": (
        file(HEADER, {**SESSION, "ended_at": "2026-01-01T00:00Z"}),
        2,
        "ended_at",
    ),
    "a gap": (file(HEADER, SESSION, SAM, SAID, {"type": "turn", "position": 3}), 5, "position"),
    "a turn twice": (file(HEADER, SESSION, SAM, SAID, {**SAID, "position": 2}, END), 5, "id"),
    "items in no order": (
        file(
            HEADER,
            SESSION,
            {"type": "item", "kind": "custom", "number": 2},
            {"type": "item", "kind": "custom", "number": 2},
        ),
        4,
        "number",
    ),
    "an item of no turn": (
        file(
            HEADER,
            SESSION,
            SAM,
            SAID,
            *[{"type": "item", "kind": "custom"}] * 700,
            {"type": "item", "kind": "custom", "turn_id": OTHER},
            END,
        ),
        705,
        "turn_id",
    ),
    "a key twice": (
        file(
            HEADER,
            SESSION,
            SAM,
            {**SAID, "idempotency_key": "k"},
            {"type": "turn", "idempotency_key": "k"},
            END,
        ),
        5,
        "idempotency_key",
    ),
    "a participant who is not there": (file(HEADER, SESSION, END), 2, "participant_id"),
    "a speaker who is not there": (
        file(HEADER, SESSION, SAM, {**SAID, "participant_id": OTHER}, END),
        4,
        "participant_id",
    ),
    "a participant twice": (file(HEADER, SESSION, SAM, SAM), 4, "id"),
    "a participant afterwards": (file(HEADER, SESSION, SAM, SAID, {**SAM, "id": OTHER}), 5, "type"),
    "participants without end": (
        file(HEADER, SESSION, *({**SAM, "id": str(uuid7())} for _ in range(1001))),
        1003,
        "type",
    ),
    "contents first": (file(HEADER, SAID), 2, "type"),
    "cut short": (file(HEADER, SESSION, SAM, SAID), 4, "type"),
    "the next one first": (file(HEADER, SESSION, SAM, SAID, SESSION), 5, "type"),
    "too few lines": (file(HEADER, SESSION, SAM, SAID, {"type": "end", "turn": 2}), 5, "turn"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_the_line_and_the_field_are_named(
    digitwin_db: Database, ada: User, name: str
) -> None:
    lines, number, field = WRONG[name]
    with pytest.raises(DigiTwinError) as refused:
        await digitwin_db.for_user(ada.id).sessions.import_lines(lines)
    error = refused.value
    assert isinstance(error, InvalidInputError | AlreadyExistsError)
    assert (error.details["line"], error.details["field"]) == (number, field), error
    assert error.message.startswith(f"line {number}: ")
    assert SECRET not in f"{error} {error.details} {error.__cause__} {error.__context__}"
    assert await digitwin_db.sessions.count() == 0


async def test_a_newer_minor_version_is_read_as_far_as_it_is_known(
    digitwin_db: Database, ada: User
) -> None:
    newer = {**HEADER, "version": "1.7"}
    with pytest.raises(
        InvalidInputError, match=r"line 2: .*version 1\.7, .* reads 1\.0"
    ) as refused:
        lines = file(newer, {**SESSION, "mood": "calm"})
        await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
    assert refused.value.details["field"] == "mood"
    (stored,) = await digitwin_db.sessions.import_lines(
        file(newer, SESSION, SAM, SAID, END), user_id=ada.id
    )
    assert stored.turns == 1


async def test_lines_that_are_too_long_are_not_parsed(digitwin_db: Database, ada: User) -> None:
    for line in ("x" * (MAX_LINE + 1), b"\xff" * (MAX_LINE + 1)):
        with pytest.raises(InvalidInputError, match="line 2: the line is longer than"):
            await digitwin_db.sessions.import_lines([*file(HEADER), line], user_id=ada.id)  # type: ignore[list-item]


async def test_bytes_a_mark_and_blank_lines_are_read(digitwin_db: Database, ada: User) -> None:
    lines = [line.encode() + b"\r\n" for line in file(HEADER, SESSION, SAM, SAID, END)]
    lines = [b"\xef\xbb\xbf" + lines[0], b"\n", *lines[1:], b""]
    (stored,) = await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
    assert stored.turns == 1


async def test_what_is_no_file_is_refused(digitwin_db: Database, ada: User) -> None:
    def failing() -> Iterator[str]:
        yield file(HEADER)[0]
        raise OSError(SECRET)

    async def failing_later() -> AsyncIterator[str]:
        yield file(HEADER)[0]
        raise ValueError(SECRET)

    wrong: list[Any] = ["{}", b"{}", None, 7, [7], [None], failing(), failing_later()]
    for lines in wrong:
        with pytest.raises(InvalidInputError) as refused:
            await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
        assert refused.value.details["field"] == "lines"
        assert SECRET not in f"{refused.value} {refused.value.__cause__}"


async def test_conversations_before_a_wrong_one_are_stored(
    digitwin_db: Database, ada: User
) -> None:
    second = {"type": "session", "external_id": "second"}
    good = file(HEADER, SESSION, SAM, SAID, END)
    bad = [*good, *file(HEADER, second, *[{"type": "turn"}] * 600, {"type": "turn", "mood": 1})]
    with pytest.raises(InvalidInputError, match="line 608"):
        await digitwin_db.sessions.import_lines(bad, user_id=ada.id)
    assert (await digitwin_db.sessions.statistics()).turns == 1
    mended = [*good, *file(HEADER, second, *[{"type": "turn"}] * 600, END)]
    first, other = await digitwin_db.sessions.import_lines(mended, user_id=ada.id)
    assert (first.is_new, other.is_new, other.turns) == (False, True, 600)


async def test_an_external_id_that_is_taken_is_named(
    digitwin_db: Database, talk: ConversationSession, ada: User
) -> None:
    lines = file(HEADER, {**SESSION, "external_id": "call-1"}, SAM, SAID, END)
    with pytest.raises(AlreadyExistsError, match="line 2: external_id") as refused:
        await digitwin_db.sessions.import_lines(lines, user_id=ada.id)
    assert refused.value.details == {"field": "external_id", "line": 2, "id": str(talk.id)}
    # Without an id, the external id is what it is known by
    named = file(HEADER, {"type": "session", "external_id": "call-1"}, SAID, END)
    (known,) = await digitwin_db.sessions.import_lines(named, user_id=ada.id)
    assert (known.session_id, known.is_new) == (talk.id, False)


async def test_a_row_of_another_conversation_is_not_taken_over(
    digitwin_db: Database, talk: ConversationSession, ada: User, bob: User
) -> None:
    lines = [json.loads(line) for line in await exported(digitwin_db, talk.id)]
    lines[1] |= {"id": str(uuid7()), "external_id": "call-2"}
    for owner in (ada, bob):
        with pytest.raises(AlreadyExistsError, match="line 4: id is already taken"):
            await digitwin_db.for_user(owner.id).sessions.import_lines(file(*lines))
    item = {"type": "item", "kind": "custom", "turn_id": lines[3]["id"]}
    with pytest.raises(InvalidInputError, match="line 4: turn_id"):
        await digitwin_db.for_user(ada.id).sessions.import_lines(
            file(HEADER, SESSION, SAM, item, END)
        )


async def test_an_owner_who_is_missing_or_deleted_is_not_found(
    digitwin_db: Database, ada: User
) -> None:
    lines = file(HEADER, SESSION, SAM, SAID, END)
    await digitwin_db.users.delete(ada.id)
    for owner in (ada.id, uuid7()):
        with pytest.raises(NotFoundError) as refused:
            await digitwin_db.sessions.import_lines(lines, user_id=owner)
        assert refused.value.details["field"] == "user_id"
