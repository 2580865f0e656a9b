"""No two records are written alike, and nothing fixes one but what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import assume, given, strategies as st

from digitwin.audit import hash_chain
from digitwin.audit.erasure import NO_SALT, new_pseudonym
from digitwin.audit.hash_chain import PERSONAL, PLAIN, Checkpoint, Seal, encode

MOMENTS = st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1))  # noqa: DTZ001
PARTS = st.one_of(
    st.none(),
    st.text(),
    st.binary(),
    st.uuids(),
    MOMENTS,
    st.integers(-(2**63), 2**63 - 1),
)
LISTS = st.lists(PARTS, max_size=6)
TEXTS = st.one_of(st.none(), st.text(max_size=20))
RECORDS = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "created_at": MOMENTS,
        **{name: st.text(max_size=20) for name in PLAIN},
        "user_id": st.uuids(),
        "actor_id": st.one_of(st.none(), st.uuids()),
        "resource_id": TEXTS,
        "ip_address": TEXTS,
        "user_agent": TEXTS,
        "metadata": st.text(max_size=20),
    }
)
SALTS = st.binary(min_size=96, max_size=96)


def alike(one: list[Any], other: list[Any]) -> bool:
    return [(type(part), part) for part in one] == [(type(part), part) for part in other]


@given(LISTS, LISTS)
def test_different_values_are_written_differently(one: list[Any], other: list[Any]) -> None:
    assert (encode(*one) == encode(*other)) == alike(one, other)


@given(st.lists(st.text(), min_size=2, max_size=6), st.data())
def test_where_one_value_ends_and_the_next_begins_is_told(
    texts: list[str], data: st.DataObject
) -> None:
    """Not even a text that holds what stands between two of them makes one of both."""
    at = data.draw(st.integers(0, len(texts) - 2))
    between = data.draw(st.sampled_from(["", *"nsutib"]))
    joined = [*texts[:at], texts[at] + between + texts[at + 1], *texts[at + 2 :]]
    assert encode(*texts) != encode(*joined)


@given(MOMENTS)
def test_a_moment_is_one_moment_in_every_time_zone(moment: datetime) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert encode(moment) == encode(elsewhere)


@given(RECORDS, RECORDS, SALTS)
def test_two_records_have_one_leaf_only_where_they_say_the_same(
    one: dict[str, Any], other: dict[str, Any], salts: bytes
) -> None:
    def leaf(record: dict[str, Any]) -> bytes:
        said = hash_chain.content(record, hash_chain.commitments(record, salts))
        return hash_chain.leaf(1, 1, record["id"], record["created_at"], said)

    assume(NO_SALT not in hash_chain.split(salts, 16))
    assert (leaf(one) == leaf(other)) == (one == other)


@given(RECORDS, SALTS, st.sampled_from(PERSONAL))
def test_what_is_erased_is_held_by_its_commitment(
    record: dict[str, Any], salts: bytes, name: str
) -> None:
    assume(NO_SALT not in hash_chain.split(salts, 16))
    at = PERSONAL.index(name) * 16
    kept = hash_chain.commitments(record, salts)
    without = salts[:at] + NO_SALT + salts[at + 16 :]
    erased = record | {name: None}
    assert hash_chain.commitments(erased, without, kept) == kept


@given(RECORDS, RECORDS)
def test_equal_values_cannot_be_seen_to_be_equal(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    alike = other | {name: one[name] for name in PERSONAL}
    [first], [second] = hash_chain.leaves_of(1, [one]), hash_chain.leaves_of(1, [alike])
    mine, theirs = hash_chain.split(first.commitments, 32), hash_chain.split(second.commitments, 32)
    assert not set(mine) & set(theirs)
    assert len(set(mine)) == len(PERSONAL)


def test_a_value_is_not_found_by_trying_without_its_salt() -> None:
    record = dict.fromkeys((*PLAIN, *PERSONAL), "x") | {"id": UUID(int=1)}
    record |= {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "ip_address": "10.0.0.1"}
    [leaf] = hash_chain.leaves_of(1, [record])
    tried = {
        hash_chain.commitment(salt, "ip_address", f"10.0.{net}.{host}")
        for salt in (NO_SALT, b"", leaf.salts[:16])
        for net in range(4)
        for host in range(256)
    }
    assert not tried & set(hash_chain.split(leaf.commitments, 32))


@given(st.sampled_from([field.name for field in fields(Seal)]))
def test_a_seals_head_is_over_all_of_it(name: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    seal = Seal(1, moment, moment, moment, 1, b"r" * 32, b"p" * 32, b"h" * 32, "k", "a", b"s")
    changed = replace(seal, **{name: _other(getattr(seal, name))})
    assert (changed.digest() == seal.digest()) == (name in {"head", "signature"})


@given(st.sampled_from([field.name for field in fields(Checkpoint)]))
def test_a_checkpoints_head_is_over_all_of_it(name: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    made = Checkpoint(1, moment, moment, 1, b"s" * 32, 1, b"h" * 32, "k", "a", b"s")
    changed = replace(made, **{name: _other(getattr(made, name))})
    assert (changed.digest() == made.digest()) == (name in {"head", "signature"})


def _other(value: Any) -> Any:
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return value + (1 if isinstance(value, int) else type(value)(value[:1]))


def test_only_a_pseudonym_or_nothing_may_stand_where_a_salt_is_gone() -> None:
    gone = NO_SALT * len(PERSONAL)
    record: dict[str, Any] = dict.fromkeys(PERSONAL) | {"metadata": "{}"}
    record |= {"user_id": new_pseudonym(), "actor_id": new_pseudonym()}
    assert hash_chain.is_erased(record, gone) is True
    assert hash_chain.is_erased(record, b"s" * 96) is None
    for name in PERSONAL:
        for value in (UUID(int=7), "text"):
            assert hash_chain.is_erased(record | {name: value}, gone) is False
