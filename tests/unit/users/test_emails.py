"""What an e-mail address is, and when two are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, strategies as st
from pydantic import TypeAdapter

from digitwin.errors import InvalidInputError
from digitwin.kernel.primitives.validation import validate
from digitwin.users.emails import Email, normalised, unique_form

EMAIL = TypeAdapter(Email)

ADDRESSES = st.one_of(
    st.emails(),
    st.builds("{}@{}.{}".format, *[st.text(min_size=1, max_size=12)] * 3),
    st.from_regex(r"[a-zA-Z0-9._+-]{1,70}@[a-zA-Z0-9.-]{1,80}", fullmatch=True),
)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.c",
        "ada.lovelace+twin@sub.example.co.uk",
        "o'brien!#$%&*/=?^_`{|}~-@example.com",
        "_@example.com",
        "ada@xn--exmple-cua.com",
        "ада@пример.рф",
        "राम@भारत.भारत",
        "ada@exa\u0308mple.com",
        "x" * 64 + "@example.com",
        "a@" + "b" * 63 + ".com",
        "a@1.2",
    ],
)
def test_addresses_that_could_be_real_are_accepted(address: str) -> None:
    assert validate(EMAIL, address, "email") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "ada",
        "@",
        "ada@",
        "@example.com",
        "ada@example",
        "ada@@example.com",
        "a@da@example.com",
        "ａ＠da@example.com",
        "ada＠example.com",
        "ada@my_hört.example.com",
        "ada@☃.com",
        "ada@" + "ä" * 60 + ".com",
        "ada @example.com",
        "ada@exam ple.com",
        "ada\u00a0@example.com",
        "ada@example.com\nbob@example.com",
        "ada@example.com,bob@example.com",
        "Ada <ada@example.com>",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada@.example.com",
        "ada@example.com.",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@[127.0.0.1]",
        "ada@exam\u200bple.com",
        "a\u200bda@example.com",
        "a\u202eda@example.com",
        "x" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "b.c" * 100 + ".com",
        "ﷺ" * 60 + "@example.com",
        "ada\0@example.com",
        "ada\ud800@example.com",
        None,
        7,
        b"ada@example.com",
        ["ada@example.com"],
    ],
)
def test_what_is_no_address_is_refused_by_name(address: object) -> None:
    for check in (lambda: validate(EMAIL, address, "email"), lambda: unique_form(address)):
        with pytest.raises(InvalidInputError) as error:
            check()
        assert error.value.details["field"] == "email"


def test_an_address_is_kept_as_it_was_written_but_for_spaces_around_it() -> None:
    assert validate(EMAIL, "\t Ada@Example.com ", "email") == "Ada@Example.com"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.com"),
        (" ada@example.com", "ada@example.com"),
        ("STRAẞE@example.com", "straße@example.com"),
        ("adä@example.com", "ADA\u0308@example.com"),
        ("ada@exämple.com", "ada@exa\u0308mple.com"),
        ("ada@EXÄMPLE.com", "ada@exämple.com"),
        ("ada@münchen.de", "ada@xn--mnchen-3ya.de"),
        ("ada@MÜNCHEN.de", "ada@XN--MNCHEN-3YA.de"),
        ("ada@ｅｘａｍｐｌｅ．com", "ada@example.com"),
        ("\N{KELVIN SIGN}@example.com", "k@example.com"),
    ],
)
def test_addresses_that_differ_in_writing_alone_are_one(one: str, other: str) -> None:
    assert unique_form(one) == unique_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.da@example.com", "ada@example.com"),
        ("ada+1@example.com", "ada@example.com"),
        ("ada@example.com", "ada@example.org"),
        ("straße@example.com", "strasse@example.com"),
        ("ada@fußball.de", "ada@fussball.de"),
        ("ada@βόλος.gr", "ada@βόλοσ.gr"),
        ("ﬀ@example.com", "ff@example.com"),
        ("ａｄａ@example.com", "ada@example.com"),
        ("а@example.com", "a@example.com"),
    ],
)
def test_addresses_that_may_be_two_mailboxes_are_two(one: str, other: str) -> None:
    assert unique_form(one) != unique_form(other)


@given(ADDRESSES)
@example("\u013a\u1f8e\u0358\u0308@example.com")
def test_the_short_way_gives_what_the_long_way_does(address: str) -> None:
    try:
        expected = normalised(validate(EMAIL, address, "email"))
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            unique_form(address)
    else:
        assert unique_form(address) == expected


@given(st.text(max_size=20))
@example("\u013a\u1f8e\u0358\u0308")
def test_the_form_of_a_form_is_itself(text: str) -> None:
    form = normalised(text)
    assert normalised(form) == form
    assert normalised(unicodedata.normalize("NFD", text)) == form


@given(st.emails())
def test_case_never_makes_a_difference(address: str) -> None:
    assert unique_form(address.swapcase()) == unique_form(address)
