"""Who acts: known to a task and to those it starts, to no other."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any
from uuid import UUID

import pytest

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.ids import uuid7
from digitwin.kernel.sql import actor
from digitwin.kernel.sql.actor import ActingAs, Actor


def test_nobody_acts_until_somebody_says_so() -> None:
    assert actor.current() == Actor()


def test_the_inner_one_overrides_only_what_it_says() -> None:
    ada = uuid7()
    with ActingAs(actor_id=str(ada), request_id="r1"):
        with ActingAs(ip_address="192.0.2.1", user_agent="curl/8"):
            assert actor.current() == Actor(ada, "192.0.2.1", "curl/8", "r1")
        with ActingAs(request_id="r2") as inner:
            assert actor.current() is inner
            assert inner == Actor(ada, request_id="r2")
        assert actor.current() == Actor(ada, request_id="r1")
    assert actor.current() == Actor()


def test_none_takes_it_back() -> None:
    with ActingAs(actor_id=uuid7(), request_id="r"), ActingAs(actor_id=None):
        assert actor.current() == Actor(request_id="r")


def test_it_ends_with_the_error_that_leaves_it() -> None:
    with pytest.raises(KeyError), ActingAs(request_id="r"):
        raise KeyError
    assert actor.current() == Actor()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"actor_id": "ada"}, "actor_id"),
        ({"actor_id": 7}, "actor_id"),
        ({"ip_address": "300.1.1.1"}, "ip_address"),
        ({"ip_address": "192.0.2.1\n"}, "ip_address"),
        ({"user_agent": "x" * 1001}, "user_agent"),
        ({"user_agent": "a\0b"}, "user_agent"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"request_id": "x" * 201}, "request_id"),
        ({"actor": None}, "actor"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ActingAs(**given)
    assert refused.value.details["field"] == field


def test_an_address_has_one_spelling() -> None:
    with ActingAs(ip_address="2001:0DB8:0000::1") as inner:
        assert inner.ip_address == "2001:db8::1"


async def test_a_task_takes_it_along_and_gives_nothing_back() -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def child() -> tuple[str | None, str | None]:
        before = actor.current().request_id
        with ActingAs(request_id="child"):
            started.set()
            await may_end.wait()
            return before, actor.current().request_id

    with ActingAs(request_id="parent"):
        task = asyncio.create_task(child())
        await started.wait()
        assert actor.current().request_id == "parent"
    assert actor.current() == Actor()
    may_end.set()
    assert await task == ("parent", "child")


async def test_two_tasks_may_enter_the_same_one_at_once() -> None:
    shared, meet = ActingAs(actor_id=UUID(int=7)), asyncio.Barrier(2)

    async def enter(request: str) -> Actor:
        with ActingAs(request_id=request):
            async with shared:
                await meet.wait()
                found = actor.current()
                await meet.wait()
        assert actor.current() == Actor()
        return found

    assert list(await asyncio.gather(enter("a"), enter("b"))) == [
        Actor(UUID(int=7), request_id="a"),
        Actor(UUID(int=7), request_id="b"),
    ]


def test_leaving_it_in_another_context_does_no_harm() -> None:
    opened = ActingAs(request_id="r")
    contextvars.copy_context().run(opened.__enter__)
    opened.__exit__(None, None, None)
    assert actor.current() == Actor()
