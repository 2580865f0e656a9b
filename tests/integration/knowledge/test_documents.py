"""Documents are stored, changed, deleted and restored; cached searches are invalidated."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    StaleVersionError,
)
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import User
from tests.support.waiting import UntilWaiting


async def test_a_new_document_has_the_documented_defaults(note: Any) -> None:
    document = await note(content="From nine to five.")
    assert document.content_hash == sha256(b"From nine to five.").hexdigest()
    assert (document.status, document.visibility) == ("pending", "owner")
    assert (document.content_type, document.source_uri, document.metadata) == (
        "text/plain",
        None,
        {},
    )


async def test_creating_again_with_the_same_id_stores_nothing(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    id = uuid7()
    await note(id=id)
    with pytest.raises(AlreadyExistsError) as error:
        await note(id=id)
    assert error.value.details["field"] == "id"
    assert await digitwin_db.documents.count(user_id=ada.id) == 1


async def test_many_are_stored_in_the_order_given(digitwin_db: Database, ada: User) -> None:
    rows: list[Any] = [
        {"user_id": ada.id, "title": f"T{n}", "content": "x" * n, "metadata": {"n": n}}
        for n in range(1, 30)
    ]
    documents = await digitwin_db.documents.create_many(rows)
    assert [d.title for d in documents] == [row["title"] for row in rows]
    assert [d.metadata for d in documents] == [row["metadata"] for row in rows]
    assert documents[3].content_hash == sha256(b"xxxx").hexdigest()


async def test_many_are_stored_all_or_none(digitwin_db: Database, ada: User) -> None:
    good: Any = {"user_id": ada.id, "title": "T", "content": "c"}
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.create_many([good, {**good, "user_id": uuid7()}])
    assert not await digitwin_db.documents.exists(user_id=ada.id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"content": "a\0b"}, "content"),
        ({"content": "\ud800"}, "content"),
        ({"content": "x" * 10_000_001}, "content"),
        ({"status": "processing"}, "status"),
        ({"visibility": "everybody"}, "visibility"),
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"worker": "me"}, "worker"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    digitwin_db: Database, note: Any, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await note(**fields)
    assert error.value.details["field"] == field
    assert await digitwin_db.documents.count() == 0


async def test_more_words_than_a_search_can_hold_name_the_content(note: Any) -> None:
    with pytest.raises(InvalidInputError) as error:
        await note(content=" ".join(f"word{n}" for n in range(150_000)))
    assert error.value.details["field"] == "content"


async def test_the_owner_must_be_named_and_alive(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await digitwin_db.documents.create(title="T", content="c")
    assert error.value.details["field"] == "user_id"
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(NotFoundError):
        await note()


async def test_filters_narrow_lists_streams_and_counts(digitwin_db: Database, note: Any) -> None:
    await note(title="A", visibility="visitors")
    await note(title="B", source_uri="file:b", content_type="text/markdown")
    documents = digitwin_db.documents
    assert [d.title for d in (await documents.list(visibility="visitors")).items] == ["A"]
    assert [d.title async for d in documents.stream(source_uri="file:b")] == ["B"]
    assert [d.title for d in (await documents.list(source_uri=None)).items] == ["A"]
    assert await documents.count(content_type="text/markdown") == 1
    assert not await documents.exists(title="C")


async def test_pages_show_every_document_once(digitwin_db: Database, note: Any) -> None:
    stored = [(await note(title=f"T{n}")).id for n in range(5)]
    seen, after = [], None
    while True:
        page = await digitwin_db.documents.list(limit=2, after=after)
        seen += [d.id for d in page.items]
        if (after := page.next_cursor) is None:
            break
    assert seen == stored


async def test_new_content_has_a_new_hash_and_waits_to_be_processed(
    digitwin_db: Database, note: Any
) -> None:
    old = await note(status="ready")
    new = await digitwin_db.documents.update(old.id, content="Something else.")
    assert new.content_hash == sha256(b"Something else.").hexdigest()
    assert (new.status, new.version) == ("pending", old.version + 1)


async def test_other_changes_leave_hash_and_status_alone(digitwin_db: Database, note: Any) -> None:
    old = await note(status="ready")
    new = await digitwin_db.documents.update(old.id, title="New", content=old.content)
    assert (new.title, new.status, new.content_hash) == ("New", "ready", old.content_hash)


@pytest.mark.parametrize(("old", "new"), [("ready", "failed"), ("failed", "ready")])
async def test_what_is_done_is_done_again_only_from_the_start(
    digitwin_db: Database, note: Any, old: str, new: Any
) -> None:
    document = await note(status=old)
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.update(document.id, status=new)
    await digitwin_db.documents.update(document.id, status="pending")
    assert (await digitwin_db.documents.update(document.id, status=new)).status == new


async def test_a_stale_version_changes_nothing(digitwin_db: Database, note: Any) -> None:
    document = await note()
    await digitwin_db.documents.update(document.id, title="First")
    with pytest.raises(StaleVersionError):
        await digitwin_db.documents.update(document.id, expected_version=1, title="Second")
    assert (await digitwin_db.documents.get(document.id)).title == "First"


async def test_a_deletion_hides_and_a_restore_shows(digitwin_db: Database, note: Any) -> None:
    document = await note()
    await digitwin_db.documents.delete(document.id)
    assert await digitwin_db.documents.find(document.id) is None
    assert await digitwin_db.documents.find(document.id, include_deleted=True) is not None
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.delete(document.id)
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.update(document.id, title="Ghost")
    assert (await digitwin_db.documents.restore(document.id)).content == document.content
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.restore(document.id)


async def test_a_document_of_a_deleted_user_stays_deleted(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    document = await note()
    await digitwin_db.documents.delete(document.id)
    await digitwin_db.users.delete(ada.id)
    with pytest.raises(InvalidStateError):
        await digitwin_db.documents.restore(document.id)


async def test_a_hard_deletion_leaves_nothing(digitwin_db: Database, note: Any) -> None:
    document = await note()
    await digitwin_db.documents.hard_delete(document.id)
    assert await digitwin_db.documents.find(document.id, include_deleted=True) is None
    with pytest.raises(NotFoundError):
        await digitwin_db.documents.hard_delete(document.id)


async def test_under_a_scope_another_persons_document_does_not_exist(
    digitwin_db: Database, note: Any, bob: User
) -> None:
    document = await note()
    his = digitwin_db.for_user(bob.id).documents
    for call in (his.get, his.delete, his.hard_delete):
        with pytest.raises(NotFoundError):
            await call(document.id)
    with pytest.raises(NotFoundError):
        await his.update(document.id, title="Mine")
    with pytest.raises(NotFoundError):
        await his.retry(document.id)
    assert await his.count() == 0


async def cached(db: Database, user: User) -> Any:
    return await db.cache.searches.get("hours", user_id=user.id)


@pytest.mark.parametrize("change", ["create", "create_many", "update", "delete", "hard_delete"])
async def test_a_change_forgets_the_owners_cached_searches_alone(
    digitwin_db: Database, note: Any, ada: User, bob: User, change: str
) -> None:
    document = await note()
    for user in (ada, bob):
        await digitwin_db.cache.searches.set("hours", ["hit"], user_id=user.id)
    fields: Any = {"user_id": ada.id, "title": "T", "content": "c"}
    documents = digitwin_db.documents
    await {
        "create": lambda: documents.create(**fields),
        "create_many": lambda: documents.create_many([fields]),
        "update": lambda: documents.update(document.id, visibility="visitors"),
        "delete": lambda: documents.delete(document.id),
        "hard_delete": lambda: documents.hard_delete(document.id),
    }[change]()
    assert await cached(digitwin_db, ada) is None
    assert await cached(digitwin_db, bob) == ["hit"]


async def test_a_restore_forgets_cached_searches(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    document = await note()
    await digitwin_db.documents.delete(document.id)
    await digitwin_db.cache.searches.set("hours", [], user_id=ada.id)
    await digitwin_db.documents.restore(document.id)
    assert await cached(digitwin_db, ada) is None


async def test_what_is_rolled_back_forgets_nothing(
    digitwin_db: Database, note: Any, ada: User
) -> None:
    document = await note()
    await digitwin_db.cache.searches.set("hours", ["hit"], user_id=ada.id)
    with pytest.raises(ZeroDivisionError):
        async with digitwin_db.transaction():
            await digitwin_db.documents.delete(document.id)
            raise ZeroDivisionError
    assert await cached(digitwin_db, ada) == ["hit"]


async def test_two_changes_of_status_at_once_follow_each_other(
    digitwin_db: Database, note: Any, until_waiting: UntilWaiting
) -> None:
    """The second update sees the document as the first one left it."""
    document = await note()
    async with asyncio.TaskGroup() as tasks:
        started = asyncio.Event()

        async def second() -> None:
            await started.wait()
            with pytest.raises(InvalidStateError):
                await digitwin_db.documents.update(document.id, status="failed")

        tasks.create_task(second())
        async with digitwin_db.transaction():
            await digitwin_db.documents.update(document.id, status="ready")
            started.set()
            await until_waiting()
    assert (await digitwin_db.documents.get(document.id)).status == "ready"
