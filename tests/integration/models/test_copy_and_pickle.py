"""An object can be copied, and sent to another process and back."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from digitwin.database import Database
from digitwin.models import (
    ConversationSession,
    ConversationTurn,
    FaceModel,
    KnowledgeDocument,
    User,
    VoiceModel,
)
from tests.integration.models.conftest import OF_A_PERSON

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle{n}": lambda row, n=n: pickle.loads(pickle.dumps(row, protocol=n))  # type: ignore[misc]
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}

ELSEWHERE = """
import pickle, sys
row = pickle.load(sys.stdin.buffer)
row.name = row.name + " and back"
sys.stdout.buffer.write(pickle.dumps(row))
"""


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("model", OF_A_PERSON)
async def test_a_copy_is_equal_in_every_field(ada: User, model: Any, way: str) -> None:
    row = await model.get()
    again = COPIES[way](row)
    assert again is not row
    assert (again, vars(again)) == (row, vars(row))


@pytest.mark.parametrize("way", COPIES)
async def test_a_copy_of_a_repositorys_object_is_equal(
    digitwin_db: Database, ada: User, way: str
) -> None:
    assert vars(COPIES[way](ada)) == vars(ada)
    assert await digitwin_db.users.exists(name=COPIES[way](ada).name)


@pytest.mark.parametrize("way", COPIES)
async def test_a_copy_saves_and_reads_relations(ada: User, way: str) -> None:
    again = COPIES[way](await User.get())
    again.name = "New"
    await again.save()
    assert (await User.get()).name == "New"
    assert [document.title for document in await again.documents] == ["Ada"]


@pytest.mark.parametrize("way", ["deepcopy", f"pickle{pickle.HIGHEST_PROTOCOL}"])
async def test_rows_fetched_along_travel_along(ada: User, way: str) -> None:
    user = await User.all().prefetch_related("documents", "sessions__turns").get()
    again = COPIES[way](user)
    assert [document.title for document in again.documents] == ["Ada"]
    assert [turn.user_text for turn in again.sessions[0].turns] == ["Ada"]


async def test_a_copy_does_not_share_what_can_change(ada: User) -> None:
    again = copy.deepcopy(ada)
    again.settings["new"] = True
    assert ada.settings == {}


async def test_an_object_comes_back_from_another_process(ada: User) -> None:
    row = await User.get()
    there = subprocess.run(  # noqa: ASYNC221 - nothing else goes on
        [sys.executable, "-c", ELSEWHERE], input=pickle.dumps(row), capture_output=True, check=True
    )
    back = pickle.loads(there.stdout)
    await back.save()
    assert (await User.get()).name == "Ada and back"


async def test_objects_of_one_row_are_one_in_a_set(ada: User) -> None:
    assert {ada, await User.get(), copy.copy(ada)} == {ada}
    for model in (VoiceModel, FaceModel, ConversationSession, ConversationTurn, KnowledgeDocument):
        row: Any = await model.get()  # type: ignore[attr-defined]
        assert row != ada
