"""The migration of e-mail addresses gives what the library would store, and merges nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from digitwin.errors import InvalidStateError
from digitwin.kernel.connection import dsn
from digitwin.kernel.migrations import files, upgrade
from digitwin.settings import Settings
from digitwin.testing import DatabaseFactory
from digitwin.users.emails import normalised

NAMES = [each.name for each in files.all_migrations()]
NAME = next(name for name in NAMES if "address_forms" in name)
BACK = len(NAMES) - NAMES.index(NAME)
"""Migrations to revert, so that this one is."""

ADDRESSES = [
    *("Ada@Example.com", "straße@example.com", "STRAẞE2@Example.com", "ÀÉÎ@example.com"),
    *("ada@münchen.de", "ada@MÜNCHEN2.de", "ada@fußball.de", "ada@exa\u0308mple.com"),
    *("Adä@bücher.Example.com", "İstanbul@example.com", "ΟΔΟΣ@example.com", "Σας@example.com"),
    *(
        "ΣΑΣ.ΣΑΣ@example.com",
        "Σ@example.com",
        "ada@ΒΌΛΟΣ.com",
        "ada@βόλος.gr",
        "ада@Пример.РФ",
        "राम@भारत.भारत",
    ),
    *("ﬀ@example.com", "\N{KELVIN SIGN}@example.com", "ada@ｅｘａｍｐｌｅ.org", "用户@例え.jp"),
    *("ada@bücher-und-käse.XN--MNCHEN-3YA.de", "ada@ü" + "x" * 40 + "ö.example", "J\u030c@e.com"),
    *("ada@他们为什么不说中文.com", "ada@почемужеонинеговорятпорусски.com", "ǅ@example.com"),
    *("ada@3年B組金八先生.jp", "ada@ひとつ屋根の下2.jp", "𐐀𐐁@example.com", "ＡＢ@example.com"),
]


def folded(address: str) -> str:
    """The form of the previous release."""
    import unicodedata

    form = unicodedata.normalize("NFKC", address).casefold()
    return unicodedata.normalize("NFKC", form).strip()


@pytest.fixture
async def before(digitwin_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database as the release before left it, but for its version."""
    connection = await asyncpg.connect(digitwin_url)
    yield connection
    await connection.close()


async def store(connection: asyncpg.Connection, *emails: str) -> dict[UUID, str]:
    people = {uuid4(): email for email in emails}
    for id, email in people.items():
        await connection.execute(
            "INSERT INTO users (id, email, name) VALUES ($1, $2, 'N')", id, email
        )
        await connection.execute(
            "INSERT INTO user_emails (address, user_id) VALUES ($1, $2)", folded(email), id
        )
    return people


async def migrate(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute(await files.named(NAME).upgrade())


async def addresses(connection: asyncpg.Connection) -> dict[UUID, str]:
    return {
        row["user_id"]: row["address"]
        for row in await connection.fetch("SELECT * FROM user_emails")
    }


async def test_every_address_gets_the_form_that_the_library_looks_for(
    before: asyncpg.Connection,
) -> None:
    people = await store(before, *ADDRESSES)
    await migrate(before)
    expected = {id: normalised(email) for id, email in people.items()}
    assert await addresses(before) == expected
    await migrate(before)
    assert await addresses(before) == expected


async def test_the_people_are_found_again(
    digitwin_db_factory: DatabaseFactory, before: asyncpg.Connection, digitwin_url: str
) -> None:
    people = await store(before, "straße@example.com", "ada@münchen.de")
    await migrate(before)
    db = await digitwin_db_factory(digitwin_url)
    for id, email in people.items():
        assert (await db.users.get_by_email(email)).id == id
    assert (await db.users.get_by_email("ada@xn--mnchen-3ya.de")).email == "ada@münchen.de"
    assert await db.users.find_by_email("strasse@example.com") is None
    await db.users.create(email="strasse@example.com", name="Somebody else")


async def test_two_accounts_of_one_address_stop_it_and_are_named(
    before: asyncpg.Connection,
) -> None:
    people = await store(before, "ada@münchen.de", "ada@xn--mnchen-3ya.de", "straße@example.com")
    held = await addresses(before)
    with pytest.raises(asyncpg.RaiseError) as refused:
        await migrate(before)
    for id, email in list(people.items())[:2]:
        assert str(id) in str(refused.value)
        assert email not in str(refused.value)
    assert await addresses(before) == held


async def test_the_way_back_gives_the_forms_of_the_release_before(
    before: asyncpg.Connection,
) -> None:
    people = await store(before, *ADDRESSES)
    await migrate(before)
    async with before.transaction():
        await before.execute(await files.named(NAME).downgrade())
    assert await addresses(before) == {id: folded(email) for id, email in people.items()}


async def test_two_accounts_that_are_one_for_the_release_before_stop_the_way_back(
    digitwin_db_factory: DatabaseFactory, before: asyncpg.Connection, digitwin_url: str
) -> None:
    db = await digitwin_db_factory(digitwin_url)
    emails = ("straße@example.com", "bob@example.com", "strasse@example.com")
    one, _, other = [await db.users.create(email=email, name="N") for email in emails]
    held = await addresses(before)
    with pytest.raises(InvalidStateError, match=f"{one.id} and {other.id} .* run the command"):
        await upgrade.downgrade(dsn.parse(digitwin_url), Settings(), steps=BACK)
    assert await addresses(before) == held


async def test_whoever_upgrades_reads_which_two_accounts_stop_it(
    before: asyncpg.Connection, digitwin_url: str
) -> None:
    await upgrade.downgrade(dsn.parse(digitwin_url), Settings(), steps=BACK)
    people = await store(before, "ada@münchen.de", "ada@xn--mnchen-3ya.de")
    with pytest.raises(InvalidStateError, match="delete one of them") as raised:
        await upgrade.upgrade(dsn.parse(digitwin_url), Settings())
    assert all(str(id) in str(raised.value) for id in people)


async def test_refs_get_one_spelling_where_that_is_free(before: asyncpg.Connection) -> None:
    (owner,) = await store(before, "ada@example.com")
    one, two = uuid4(), uuid4()
    refs = {
        str(one).upper(): str(one),
        one.hex: one.hex,  # the same participant twice: the first gets the spelling
        f"user:{{{two}}}": f"user:{two}",
        f"urn:uuid:{two.hex}": str(two),
        "web-81f3": "web-81f3",
    }
    for n, ref in enumerate(refs):
        await before.execute(
            "INSERT INTO participants (user_id, id, kind, ref) VALUES ($1, $2, 'user', $3)",
            *(owner, UUID(int=n + 1), ref),
        )
    await migrate(before)
    found = await before.fetch("SELECT ref FROM participants ORDER BY id")
    assert [row["ref"] for row in found] == list(refs.values())
