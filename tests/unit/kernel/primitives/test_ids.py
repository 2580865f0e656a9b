"""Ids sort by time, never repeat, and nothing but a UUID passes for one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import example, given, strategies as st

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives import ids
from digitwin.kernel.primitives.ids import NOBODY, floor_id, one_spelling, parse_id, uuid7

ID = "0190a5b2-7c3e-7000-8000-0123456789ab"


def milliseconds(id: UUID) -> int:
    return id.int >> 80


def test_an_id_is_of_version_7_and_holds_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert before <= milliseconds(made) <= before + 1000


def test_ids_of_one_thread_only_grow() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_of_several_threads_are_all_different_and_grow_in_each() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [uuid7() for _ in range(2_000)], range(8)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({made for batch in batches for made in batch}) == 16_000


def test_a_clock_that_goes_back_does_not_take_the_ids_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_clock", ids._Clock())
    first = uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    assert uuid7() > first


def test_a_counter_that_runs_out_borrows_the_next_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids, "_clock", ids._Clock())
    monkeypatch.setattr(time, "time_ns", lambda: 7_000_000)
    first = uuid7()
    ids._clock._counter = (1 << 42) - 2
    last, next_one = uuid7(), uuid7()
    assert first < last < next_one
    assert [milliseconds(made) for made in (last, next_one)] == [7, 8]


def test_a_fork_starts_a_counter_of_its_own() -> None:
    parents = ids._clock
    ids._restart()
    assert ids._clock is not parents


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)))  # noqa: DTZ001
def test_the_floor_of_a_moment_is_its_first_id(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    floor = floor_id(moment)
    assert floor <= UUID(int=floor.int | 0x7 << 76)
    assert floor_id(moment + timedelta(milliseconds=1)).int - floor.int == 1 << 80
    assert floor.int & ((1 << 80) - 1) == 0


def test_an_id_lies_between_the_floors_around_it() -> None:
    made = uuid7()
    moment = datetime.fromtimestamp(milliseconds(made) / 1000, UTC)
    assert floor_id(moment - timedelta(milliseconds=1)) < made
    assert made < floor_id(moment + timedelta(milliseconds=2))


def test_the_floor_does_not_depend_on_the_time_zone() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert floor_id(moment) == floor_id(moment.astimezone(timezone(timedelta(hours=5))))


@pytest.mark.parametrize(
    "moment",
    [datetime(2026, 1, 1), datetime(1969, 12, 31, tzinfo=UTC)],  # noqa: DTZ001
    ids=["naive", "before 1970"],
)
def test_a_moment_no_id_can_hold_is_refused(moment: datetime) -> None:
    with pytest.raises(InvalidInputError) as caught:
        floor_id(moment)
    assert caught.value.details["field"] == "moment"


@given(st.uuids())
def test_a_uuid_and_its_strings_are_ids(id: UUID) -> None:
    assert parse_id(id) is id
    assert parse_id(str(id)) == parse_id(str(id).upper()) == parse_id(id.hex) == id


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "ada",
        b"\0" * 16,
        ID[:-1],
        f" {ID}",
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        "0x" + "0" * 30,
        "1_" * 16,
        "+" + "0" * 31,
        "\u0663" * 32,
    ],
)
def test_anything_else_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInputError, match="session_id must be a UUID") as caught:
        parse_id(value, "session_id")
    assert caught.value.details == {"field": "session_id"}


def test_nobody_sorts_before_everybody() -> None:
    assert uuid7() > NOBODY


def spelled(id: UUID) -> list[str]:
    forms = [str(id), id.hex, f"{{{id}}}", f"{{{id.hex}}}", id.urn]
    return forms + [form.upper() for form in forms]


@given(st.uuids(), st.sampled_from(["", "user:", "tenant:7/user:", "URN:x/"]))
def test_every_spelling_of_an_id_is_one(id: UUID, prefix: str) -> None:
    for form in spelled(id):
        assert one_spelling(f"{prefix}{form}") == f"{prefix}{id}"


@given(st.text(max_size=60))
@example("urn:uuid:urn:uuid:" + "0" * 32)
def test_a_name_in_one_spelling_stays(name: str) -> None:
    assert one_spelling(one_spelling(name)) == one_spelling(name)


@pytest.mark.parametrize("nil", [NOBODY, str(NOBODY), NOBODY.hex])
def test_the_nil_uuid_is_nobodys_id(nil: object) -> None:
    with pytest.raises(InvalidInputError, match="user_id must not be the nil UUID") as refused:
        parse_id(nil, "user_id")
    assert refused.value.details["field"] == "user_id"
