"""What an argument must be, where Python would take something else for it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import InvalidInputError
from digitwin.kernel.execution.operations import operation
from digitwin.models import User


async def refusal(call: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        await (call if hasattr(call, "__await__") else anext(call))
    return str(caught.value.details["field"])


@pytest.mark.parametrize("flag", ["no", 0, 1, None, "false", b"", []])
async def test_a_flag_is_true_or_false(digitwin_db: Database, ada: User, flag: Any) -> None:
    db, me = digitwin_db, digitwin_db.for_user(ada.id)
    assert await refusal(db.users.list(include_deleted=flag)) == "include_deleted"
    assert await refusal(me.documents.stream(include_deleted=flag)) == "include_deleted"
    assert await refusal(db.cache.embeddings.get("key", as_numpy=flag)) == "as_numpy"
    assert await refusal(db.audit.export(after="0:0", unsealed=flag)) == "unsealed"
    assert await refusal(db.privacy.erase(ada.id, reason="asked", verify=flag)) == "verify"
    async with db.transaction():
        assert await refusal(db.voices.get(ada.id, include_deleted=flag)) == "include_deleted"


def test_a_flag_that_a_call_does_not_name_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="keyword-only"):

        @operation
        async def read(self: Any, everything: bool) -> None: ...


class Unread(list[Any]):
    """Counts how often one of its items is asked for."""

    asked = 0

    def __iter__(self) -> Any:
        self.asked += 1
        return super().__iter__()


@pytest.mark.parametrize("rows", ["x" * 1_000_000, b"x" * 1_000_000, {"user_text": "hi"}, 5])
async def test_a_text_is_no_list_of_rows(digitwin_db: Database, ada: User, rows: Any) -> None:
    db = digitwin_db
    session = await db.sessions.start(ada.id)
    assert await refusal(db.sessions.add_turns(session.id, rows)) == "new_turns"
    assert await refusal(db.users.create_many(rows)) == "rows"
    assert await refusal(db.audit.record_many(rows)) == "entries"
    assert await refusal(db.cache.responses.get_many(rows)) == "keys"
    assert await refusal(db.cache.responses.delete_many(rows)) == "keys"
    assert await refusal(db.cache.responses.set("key", 1, tags=rows)) == "tags"
    assert await refusal(db.limits.consume_all(rows)) == "asks"


async def test_the_length_comes_before_the_items(digitwin_db: Database, ada: User) -> None:
    rows = Unread([{}] * 10_001)
    assert await refusal(digitwin_db.sessions.add_turns(ada.id, rows)) == "new_turns"
    assert await refusal(digitwin_db.documents.create_many(rows)) == "rows"
    assert await refusal(digitwin_db.audit.record_many(rows)) == "entries"
    assert not rows.asked


async def test_rows_that_never_end(digitwin_db: Database, ada: User) -> None:
    rows: Any = itertools.repeat({"user_text": "hi"})
    assert await refusal(digitwin_db.sessions.add_turns(ada.id, rows)) == "new_turns"


async def test_a_batch_of_keys_has_at_least_one(digitwin_db: Database) -> None:
    assert await refusal(digitwin_db.keys.rotate(batch=0)) == "batch"


@pytest.mark.parametrize(
    "name", ["\u200b", "\u2060\ufeff \u00ad", "\u0301\u0308", "\u3164", "\u2800"]
)
async def test_a_name_shows_something(digitwin_db: Database, name: str) -> None:
    db = digitwin_db
    assert await refusal(db.users.create(email="ada@example.com", name=name)) == "name"
    assert await refusal(db.limits.consume(name, "/talk", limit=1, window=1)) == "subject"
    with pytest.raises(InvalidInputError):
        db.for_service(reason=name)


@pytest.mark.parametrize("name", ["नि", "e\u0301", "👩\u200d🚀", "\U000f0000", "\u200bx", "ﷺ"])
async def test_a_name_of_any_script(digitwin_db: Database, name: str) -> None:
    user = await digitwin_db.users.create(email="ada@example.com", name=name)
    assert user.name == name
