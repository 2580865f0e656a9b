"""A cursor comes back as it went out, and nothing else passes for one."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from digitwin.errors import InvalidInputError
from digitwin.kernel.repository.paging import decode_cursor, encode_cursor

GOOD = encode_cursor(UUID(int=1))


@given(st.uuids())
def test_a_cursor_leads_back_to_its_row(id: UUID) -> None:
    assert decode_cursor(encode_cursor(id)) == id


@given(st.uuids())
def test_a_cursor_needs_no_quoting_in_a_url(id: UUID) -> None:
    assert encode_cursor(id).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "cursor",
    [None, 7, "", "x", GOOD[:-1], GOOD + "=", GOOD + "A", GOOD[:-1] + "R", " " + GOOD, "é" * 22],
)
def test_what_is_no_cursor_is_refused_by_name(cursor: object) -> None:
    with pytest.raises(InvalidInputError, match="after must be") as caught:
        decode_cursor(cursor)
    assert caught.value.details == {"field": "after"}


@given(st.text() | st.binary())
def test_noise_is_refused_or_is_a_cursor_of_ours(noise: str | bytes) -> None:
    with suppress(InvalidInputError):
        assert encode_cursor(decode_cursor(noise)) == noise
