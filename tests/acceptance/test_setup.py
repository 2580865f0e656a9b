"""What SETUP tells operators to type works, on a database and with users made just so."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

import digitwin
from digitwin import roles
from digitwin.kernel.connection import dsn
from digitwin.kernel.connection.dsn import Target
from digitwin.kernel.migrations import upgrade
from digitwin.servers import cluster, embedded
from tests.faults.server import DEBIAN
from tests.support import checkout

SETUP = checkout.read("SETUP.md")


def block(name: str) -> str:
    """The code between ``<!-- name -->`` and ``<!-- /name -->``."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```\n<!-- /{name} -->", SETUP, re.DOTALL)
    assert found is not None
    return found[1]


def statements(name: str) -> list[str]:
    return [statement for statement in block(name).split(";\n") if statement.strip()]


@dataclass
class Place:
    """A database and two users as SETUP has them, under names that nobody else has."""

    administrator: Target

    def here(self, text: str) -> str:
        return re.sub(r"\btwins", self.administrator.database, text)

    def user(self, name: str) -> Target:
        password = re.search(rf"CREATE ROLE {name} LOGIN PASSWORD '(.*?)'", SETUP)
        assert password is not None
        return replace(
            self.administrator,
            user=self.here(name),
            password=SecretStr(password[1]),
            database=self.here("twins"),
        )

    async def run(self, who: Target, texts: list[str]) -> None:
        connection = await asyncpg.connect(who.url)
        try:
            for text in texts:
                await connection.execute(self.here(text))
        finally:
            await connection.close()


async def make_roles(place: Place) -> None:
    """As ``digitwin db roles --apply --login twins_service`` does."""
    assert "digitwin db roles --apply --login twins_service" in SETUP
    administrator = replace(place.administrator, database=place.here("twins"))
    connection = await asyncpg.connect(administrator.url)
    await roles.apply(connection, logins=[place.here("twins_service")])
    await connection.close()


@pytest.fixture
async def place(digitwin_url: str) -> AsyncIterator[Place]:
    test = dsn.parse(digitwin_url)
    place = Place(replace(test, database=f"{test.database}_setup"))
    await place.run(test, statements("roles"))
    try:
        owner = place.user("twins")
        await upgrade.upgrade(owner, digitwin.Settings())
        await make_roles(place)
        yield place
    finally:
        names = ("DATABASE twins WITH (FORCE)", "ROLE twins", "ROLE twins_service")
        await place.run(test, [f"DROP {name}" for name in names])


async def test_the_services_user_does_all_that_a_service_does(place: Place) -> None:
    async with digitwin.connect(place.user("twins_service").url) as db:
        everybody = db.for_service(reason="sign-up")
        ada = await everybody.users.create(email="ada@example.com", name="Ada")
        me = db.for_user(ada.id)
        await me.consents.grant(purpose="voice", evidence="said so")
        await me.voices.create(name="Warm", status="ready", is_active=True)
        document = await me.documents.create(title="Opening hours", content="From nine to six.")
        session = await me.sessions.start(participant=digitwin.Participant("guest", "web-1"))
        await me.sessions.add_turn(session.id, user_text="When?", idempotency_key="1")
        assert [hit.document.id for hit in await me.documents.search("hours")] == [document.id]
        assert await db.cache.responses.get_or_create("key", _answer, tags=["hours"]) == "Nine"
        assert await db.cache.responses.invalidate(tag="hours") == 1
        assert await db.limits.consume("web-1", "/chat", limit=1, window=60)
        assert await db.limits.reset("web-1") == 1
        await db.audit.record("user.delete", "user", user_id=ada.id)
        assert (await db.audit.verify()).ok
        await me.users.delete(ada.id)
        await me.users.restore(ada.id)
        await everybody.users.hard_delete(ada.id)
        assert await db.ready()
        assert (await db.health()).ok


async def test_the_service_exports_and_the_owner_erases(place: Place) -> None:
    async with digitwin.connect(place.user("twins_service").url) as db:
        everybody = db.for_service(reason="sign-up")
        ada = await everybody.users.create(email="ada@example.com", name="Ada Lovelace")
        me = db.for_user(ada.id)
        await me.voices.create(name="Warm", artifact_uri="s3://voices/ada")
        await db.cache.responses.set("key", "Nine", user_id=ada.id)
        assert b"".join([chunk async for chunk in db.privacy.export(ada.id)])
        with pytest.raises(digitwin.ConfigurationError, match="digitwin_retention"):
            await db.privacy.erase(ada.id, reason="asked for it")
        assert await db.privacy.deliver() == await db.privacy.sweep() == 0
    async with digitwin.connect(place.user("twins").url) as db:
        receipt = await db.privacy.erase(ada.id, reason="asked for it")
        assert receipt.counts["users"] == receipt.counts["llm_response_cache"] == 1
        assert receipt.pending_artifacts == 1
    async with digitwin.connect(place.user("twins_service").url) as db:
        await db.cache.responses.set("key", "Nine", user_id=ada.id)
        assert await db.cache.responses.get("key", user_id=ada.id) is None
        assert (await db.privacy.receipt(receipt.id)).completed_at is not None


async def _answer() -> str:
    return "Nine"


async def test_the_services_user_cannot_change_the_schema(place: Place) -> None:
    service = place.user("twins_service")
    for forbidden in ("CREATE TABLE more (id int)", "ALTER TABLE users ADD more int", FORGED):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await place.run(service, [forbidden])


FORGED = "UPDATE digitwin_schema SET version = 2"


async def test_the_owner_does_the_maintenance(place: Place) -> None:
    async with digitwin.connect(place.user("twins").url) as db:
        assert await db.audit.prepare(months=5) == 2
        await db.maintain()


async def test_a_user_behind_a_pooler_has_the_settings(place: Place) -> None:
    await place.run(place.administrator, statements("pgbouncer"))
    connection = await asyncpg.connect(place.user("twins_service").url)
    told = await connection.fetchrow(
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'), current_setting('search_path')"
    )
    await connection.close()
    assert tuple(told) == ("30s", "5s", "1min", "public, pg_temp")


async def test_what_monitoring_asks_is_answered(digitwin_db: digitwin.Database) -> None:
    asked = statements("monitoring")
    assert len(asked) == 5
    connection = await asyncpg.connect(digitwin_db._target.url)
    for question in asked:
        await connection.fetch(question)
    await connection.close()


def test_every_logger_is_below_digitwin() -> None:
    sources = (path.read_text("utf-8") for path in (checkout.root() / "digitwin").rglob("*.py"))
    names = {name for source in sources for name in re.findall(r"getLogger\((.*?)\)", source)}
    assert "__name__" in names
    assert all(name == "__name__" or name.startswith('"digitwin') for name in names)
    for told in re.findall(r"`(digitwin\.\w+)`", SETUP):
        assert f'"{told}"' in names or told in logging.Logger.manager.loggerDict


async def test_a_person_is_asked_by_the_policies_of_their_tier(
    digitwin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = block("policies").strip().partition("=")
    monkeypatch.setenv(name, value)
    async with digitwin.connect(digitwin_url) as db:
        for tier, limits in (("free", {60, 5000}), ("pro", {600, 5000})):
            user = await db.users.create(
                email=f"{tier}@example.com", name=tier, subscription_tier=tier
            )
            decisions = await db.limits.check(user.id, "/chat")
            assert {decision.limit for decision in decisions} == limits


async def test_a_dump_without_the_caches_is_restored(
    digitwin_db: digitwin.Database, tmp_path: Path
) -> None:
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    await digitwin_db.cache.responses.set("key", "value")
    async with (
        dumped_and_restored(digitwin_db, tmp_path, "twins") as url,
        digitwin.connect(url) as restored,
    ):
        assert (await restored.users.get_by_email("ada@example.com")).id == ada.id
        assert (await restored.audit.statistics()).by_action == {"user.create": 1}
        assert (await restored.audit.verify()).ok
        assert await restored.cache.responses.get("key") is None


async def test_a_dump_opens_nothing_until_the_keys_are_restored_too(
    digitwin_db: digitwin.Database, tmp_path: Path
) -> None:
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    voice = await digitwin_db.voices.create(user_id=ada.id, name="A", artifact_uri="s3://ada")
    async with (
        dumped_and_restored(digitwin_db, tmp_path, "twins") as url,
        digitwin.connect(url) as restored,
    ):
        with pytest.raises(digitwin.KeyUnavailableError):
            await restored.voices.get(voice.id)
    async with (
        dumped_and_restored(digitwin_db, tmp_path, "twins", "keys") as url,
        digitwin.connect(url) as restored,
    ):
        assert (await restored.voices.get(voice.id)).artifact_uri == "s3://ada"


@asynccontextmanager
async def dumped_and_restored(
    db: digitwin.Database, folder: Path, *dumps: str
) -> AsyncIterator[str]:
    """The URL of a new database, restored from dumps of this one as SETUP makes them."""
    programs, source = await programs_of(db), db._target
    new = replace(source, database=f"{source.database}_restored")
    place = Place(source)
    await place.run(source, [f"CREATE DATABASE {new.database} TEMPLATE template0"])
    try:
        for name in dumps:
            command = re.search(rf"^pg_dump (.*)--file={name}.dump", SETUP, re.MULTILINE)
            assert command is not None
            options, file = command[1].replace("'", "").split(), folder / f"{name}.dump"
            await succeed(programs / "pg_dump", *options, f"--file={file}", source.url)
            await succeed(programs / "pg_restore", "-d", new.url, str(file))
        yield new.url
    finally:
        await place.run(source, [f"DROP DATABASE {new.database} WITH (FORCE)"])


async def succeed(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def programs_of(db: digitwin.Database) -> Path:
    """The client programs of the server's own version."""
    if str((await db.health()).server_version).startswith("15"):
        return DEBIAN
    if not embedded.is_installed():
        pytest.skip("needs the programs of digitwin[embedded]")
    return cluster.program("pg_dump").parent
