"""Single keys of a session's metadata are changed without overwriting the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from digitwin.conversations.repository import ConversationSessionRepository as Sessions
from digitwin.database import Database
from digitwin.errors import InvalidInputError, NotFoundError, StaleVersionError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.models import AuditLog, ConversationSession, User
from tests.support.waiting import UntilWaiting


async def test_a_patch_sets_its_keys_and_keeps_the_others(sessions: Sessions, ada: User) -> None:
    stored = {"a": 1, "b": {"x": 1, "y": 2}, "c": 3}
    session = await sessions.start(ada.id, metadata=stored)
    patch = {"b": {"x": 9}, "c": None, "d": [None, {"z": None}], "e": None}
    changed = await sessions.update(session.id, metadata_patch=patch)
    assert changed.metadata == {"a": 1, "b": {"x": 9}, "d": [None, {"z": None}]}
    assert (await sessions.get(session.id)).metadata == changed.metadata
    assert changed.version == session.version + 1


async def test_an_empty_patch_changes_no_key(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.update(session.id, metadata={"a": 1})
    assert (await sessions.update(session.id, metadata_patch={})).metadata == {"a": 1}


async def test_another_field_can_change_with_it(
    sessions: Sessions, session: ConversationSession
) -> None:
    changed = await sessions.update(session.id, metadata_patch={"a": 1}, external_id="call-1")
    assert (changed.metadata, changed.external_id) == ({"a": 1}, "call-1")


async def test_concurrent_patches_of_different_keys_are_all_kept(
    crowd: Sessions, session: ConversationSession
) -> None:
    patches: list[Any] = [{f"k{n}": n} for n in range(50)]
    await asyncio.gather(*(crowd.update(session.id, metadata_patch=patch) for patch in patches))
    expected = {f"k{n}": n for n in range(50)}
    assert (await crowd.get(session.id)).metadata == expected


async def test_a_patch_that_waits_for_another_is_applied_to_what_that_left(
    digitwin_db: Database,
    sessions: Sessions,
    session: ConversationSession,
    until_waiting: UntilWaiting,
) -> None:
    await sessions.update(session.id, metadata={"a": 1, "b": 2})
    async with asyncio.TaskGroup() as tasks:
        started = asyncio.Event()

        async def second() -> None:
            await started.wait()
            await sessions.update(session.id, metadata_patch={"b": None, "d": 4})

        tasks.create_task(second())
        async with digitwin_db.transaction():
            await sessions.update(session.id, metadata_patch={"a": None, "c": 3})
            started.set()
            await until_waiting()
    assert (await sessions.get(session.id)).metadata == {"c": 3, "d": 4}


async def test_a_patch_of_an_expected_version(
    sessions: Sessions, session: ConversationSession
) -> None:
    version = session.version
    changed = await sessions.update(session.id, metadata_patch={"a": 1}, expected_version=version)
    with pytest.raises(StaleVersionError) as error:
        await sessions.update(session.id, metadata_patch={"b": 1}, expected_version=version)
    assert error.value.details["version"] == changed.version
    assert (await sessions.get(session.id)).metadata == {"a": 1}


async def test_a_patch_beyond_the_limit_changes_nothing(
    sessions: Sessions, session: ConversationSession
) -> None:
    """Each is small enough, both together are not."""
    half = "x" * 600_000
    await sessions.update(session.id, metadata_patch={"a": half})
    for more in ({}, {"expected_version": session.version + 1}):
        with pytest.raises(InvalidInputError, match="1,048,576 bytes") as error:
            await sessions.update(session.id, metadata_patch={"b": half}, **more)
        assert error.value.details == {"field": "metadata_patch", "limit": 1_048_576}
    assert set((await sessions.get(session.id)).metadata) == {"a"}
    replaced = await sessions.update(session.id, metadata_patch={"a": None, "b": half})
    assert set(replaced.metadata) == {"b"}


async def test_metadata_and_a_patch_exclude_each_other(
    sessions: Sessions, session: ConversationSession
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.update(session.id, metadata={}, metadata_patch={"a": 1})
    assert error.value.details["field"] == "metadata_patch"


@pytest.mark.parametrize("patch", [None, [], "a", {1: 2}, {"a": {1}}, {"a": float("nan")}])
async def test_what_is_no_object_of_json_is_refused_by_name(
    sessions: Sessions, session: ConversationSession, patch: Any
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await sessions.update(session.id, metadata_patch=patch)
    assert error.value.details["field"] == "metadata_patch"


async def test_nobody_elses_session_is_patched(
    digitwin_db: Database, session: ConversationSession, bob: User
) -> None:
    his = digitwin_db.for_user(bob.id).sessions
    for sessions, id in ((his, session.id), (digitwin_db.sessions, uuid7())):
        with pytest.raises(NotFoundError):
            await sessions.update(id, metadata_patch={"a": 1})


async def test_the_audit_trail_names_the_field_and_holds_no_value(
    sessions: Sessions, session: ConversationSession
) -> None:
    await sessions.update(session.id, metadata_patch={"secret": "word"})
    record = await AuditLog.filter(action="session.update").get()
    assert record.metadata == {"also_changed": ["metadata"]}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text("abä", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from(["", "a", "b", "ä", "c d", "{", "a,b", '"']), VALUES)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stored=OBJECTS, patch=OBJECTS)
async def test_it_is_a_dicts_update_without_the_removed_keys(
    sessions: Sessions, ada: User, stored: dict[str, Any], patch: dict[str, Any]
) -> None:
    session = await sessions.start(ada.id, metadata=stored)
    changed = await sessions.update(session.id, metadata_patch=patch)
    merged = stored | patch
    expected = {
        key: value for key, value in merged.items() if key not in patch or value is not None
    }
    assert changed.metadata == expected
