"""A server that accepts no writes, and one that has no room left: calls say so, probes too."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest

from digitwin.cli import doctor
from digitwin.database import Database
from digitwin.errors import ConnectionFailedError, ReadOnlyServerError, ServerExhaustedError
from digitwin.kernel.connection import dsn
from digitwin.limits.decision import Ask
from digitwin.models import User
from digitwin.policies import Policy
from digitwin.settings import Settings
from digitwin.testing import DatabaseFactory
from tests.integration.lifecycle.conftest import PATIENT

Trouble = Callable[[], Awaitable[None]]
Call = Callable[[Database], Awaitable[Any]]

AT_MOST = PATIENT["pool_max"]
"""Calls that can meet a connection from before: one each, and each connection once."""
CHAT: dict[str, Any] = {"limit": 10, "window": 3600}
PATH = 'could not extend file "base/16384/16399": No space left on device'
FULL = f"""
    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION '{PATH}' USING ERRCODE = 'disk_full', HINT = 'Check /var/lib/postgresql.';
    END $$
"""
"""Answers as a server without space does; `test_a_full_disk` compares it with a real one."""
TABLES = (
    "users",
    "user_emails",
    "rate_limits",
    "rate_limit_usage",
    "llm_response_cache",
    "cache_usage",
)


async def read_only(raw: asyncpg.Connection) -> None:
    """New sessions are read-only, and there are no old ones."""
    name = await raw.fetchval("SELECT current_database()")
    await raw.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await raw.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def writable(raw: asyncpg.Connection) -> None:
    name = await raw.fetchval("SELECT current_database()")
    await raw.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


async def full(raw: asyncpg.Connection) -> None:
    await raw.execute(FULL)
    for table in TABLES:
        await raw.execute(
            f"CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION no_space()"
        )


TROUBLES = {
    "read-only": (read_only, ReadOnlyServerError),
    "full": (full, ServerExhaustedError),
}


@pytest.fixture(params=sorted(TROUBLES))
def kind(request: pytest.FixtureRequest) -> type[ConnectionFailedError]:
    return TROUBLES[request.param][1]


@pytest.fixture
def trouble(kind: type[ConnectionFailedError], raw: asyncpg.Connection) -> Trouble:
    """What begins it."""
    [begin] = [begin for begin, error in TROUBLES.values() if error is kind]
    return lambda: begin(raw)


@pytest.fixture
async def db(digitwin_url: str, digitwin_db_factory: DatabaseFactory) -> Database:
    return await digitwin_db_factory(digitwin_url, **PATIENT)


async def create(db: Database) -> None:
    await db.users.create(email="eve@example.com", name="Eve")


async def create_in_transaction(db: Database) -> None:
    async with db.transaction():
        await create(db)


async def create_in_savepoint(db: Database) -> None:
    async with db.transaction(), db.transaction():
        await create(db)


async def update_scoped(db: Database) -> None:
    [user] = (await db.users.list()).items
    await db.for_user(user.id).users.update(user.id, name="Countess")


async def save_a_model(db: Database) -> None:
    [user] = await User.all()
    user.name = "Countess"
    await user.save()


WRITES: dict[str, Call] = {
    "statement": create,
    "transaction": create_in_transaction,
    "savepoint": create_in_savepoint,
    "scope": update_scoped,
    "model": save_a_model,
    "cache": lambda db: db.cache.responses.set("key", "value"),
    "limiter": lambda db: db.limits.consume("ada", "/chat", **CHAT),
}


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_a_write_is_refused_with_a_typed_retryable_error(
    db: Database, trouble: Trouble, kind: type[ConnectionFailedError], name: str
) -> None:
    await db.users.create(email="ada@example.com", name="Ada")
    await trouble()
    with pytest.raises(kind) as raised:
        await ends_met(db)
        await WRITES[name](db)
    assert raised.value.retryable
    assert await db.users.count() == 1
    assert (await db.health()).pool.in_use == 0


async def test_nothing_of_the_server_s_files_is_in_the_error(
    db: Database, raw: asyncpg.Connection
) -> None:
    await full(raw)
    for write in (create, create_in_transaction, save_new_model):
        with pytest.raises(ServerExhaustedError) as raised:
            await write(db)
        told = "".join(traceback.format_exception(raised.value)) + repr(raised.value.details)
        for link in _chain(raised.value):
            told += repr(vars(link)) + repr(link.args)
        assert "base/" not in told
        assert "/var/lib" not in told


async def save_new_model(db: Database) -> None:
    user = await User.get_or_none(name="nobody")
    assert user is None
    await db.cache.responses.set("key", "value")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class TestLimiter:
    """With `decision_timeout` the setting decides, as on a lost connection."""

    CALLS: ClassVar[dict[str, Call]] = {
        "consume": lambda db: db.limits.consume("ada", "/chat", **CHAT),
        "lease": lambda db: db.limits.consume("ada", "/chat", **CHAT, lease=5),
        "consume_all": lambda db: db.limits.consume_all(
            [Ask("ada", "/chat", 10, 3600), Ask("all", "/chat", 100, 3600)]
        ),
        "check": lambda db: db.limits.check(UUID(int=1), "/chat"),
        "reserve": lambda db: _reserved(db),
    }

    @pytest.fixture(params=["deny", "allow"])
    async def db(
        self,
        request: pytest.FixtureRequest,
        digitwin_url: str,
        digitwin_db_factory: DatabaseFactory,
    ) -> Database:
        db = await digitwin_db_factory(
            digitwin_url,
            **PATIENT,
            decision_timeout=2,
            limiter_on_timeout=request.param,
            policies=(Policy("/chat", 10, 3600),),
        )
        await db.users.create(id=UUID(int=1), email="ada@example.com", name="Ada")
        return db

    @pytest.mark.parametrize("name", sorted(CALLS))
    async def test_the_setting_decides(self, db: Database, trouble: Trouble, name: str) -> None:
        await trouble()
        for _ in range(3):
            decision = await self.CALLS[name](db)
            assert decision.degraded
            assert decision.allowed == (db.settings.limiter_on_timeout == "allow")

    async def test_it_recovers(self, db: Database, raw: asyncpg.Connection) -> None:
        await read_only(raw)
        await ends_met(db)
        assert (await self.CALLS["consume"](db)).degraded
        await writable(raw)
        degraded = [(await self.CALLS["consume"](db)).degraded for _ in range(AT_MOST + 1)]
        assert not degraded[-1]


async def _reserved(db: Database) -> Any:
    return (await db.limits.reserve("ada", "llm", **CHAT, cost=5)).decision


class TestCache:
    async def test_a_factory_runs_once_and_its_value_is_given(
        self, db: Database, trouble: Trouble, kind: type[ConnectionFailedError]
    ) -> None:
        made = 0

        async def make() -> str:
            nonlocal made
            made += 1
            return "made"

        await trouble()
        await ends_met(db)
        assert await db.cache.responses.get_or_create("key", make) == "made"
        assert made == 1
        assert await db.cache.responses.get("key") is None
        with pytest.raises(kind):
            await db.cache.responses.set("key", "value")

    async def test_a_handle_closes_with_counts_it_cannot_write(
        self, db: Database, trouble: Trouble
    ) -> None:
        await db.cache.responses.set("key", "value")
        await db.cache.responses.get("key")
        await db.limits.consume("ada", "/chat", **CHAT)
        await trouble()
        await db.close()


async def ends_met(db: Database) -> None:
    """Meet the end of each connection that `read_only` ended."""
    while True:
        try:
            await db.users.count()
        except ConnectionFailedError:
            continue
        return


class TestProbes:
    async def test_they_say_read_only(self, db: Database, raw: asyncpg.Connection) -> None:
        assert (await db.health()).read_only is False
        await read_only(raw)
        await ends_met(db)
        assert not await db.ready()
        health = await db.health()
        assert not health.ok
        assert health.read_only
        assert "read-only" in (health.error or "")
        assert health.server_version is not None
        await writable(raw)
        assert [await db.ready() for _ in range(AT_MOST + 1)][-1]
        assert (await db.health()).ok

    async def test_doctor_says_so_too(self, digitwin_url: str, raw: asyncpg.Connection) -> None:
        await read_only(raw)
        found = [each async for each in doctor._of_the_server(Settings(), dsn.parse(digitwin_url))]
        [role] = [each for each in found if each.name == "role"]
        assert (role.ok, role.detail) == (False, "accepts no writes")


class TestConnections:
    """One that says "read-only" is replaced, and with it those that are as old."""

    async def test_the_next_write_is_on_another_connection(
        self, db: Database, raw: asyncpg.Connection
    ) -> None:
        await read_only(raw)
        await ends_met(db)
        async with db.transaction():  # two connections to the read-only server
            assert await db.cache.responses.get("key") is None
            assert await db.users.count() == 0
        await writable(raw)
        with pytest.raises(ReadOnlyServerError):
            await create(db)
        for n in range(3):
            await db.users.create(email=f"{n}@example.com", name="Ada")
        async with db.transaction():
            await create(db)

    async def test_one_in_use_is_replaced_when_it_is_released(
        self, db: Database, raw: asyncpg.Connection
    ) -> None:
        await read_only(raw)
        await ends_met(db)
        async with db.transaction():
            assert await db.cache.responses.get("key") is None
            await writable(raw)
            with pytest.raises(ReadOnlyServerError):
                await db.cache.responses.set("key", "value")
            assert await db.users.count() == 0  # it goes on
        async with db.transaction():
            await create(db)

    async def test_a_transaction_that_the_caller_made_read_only(self, db: Database) -> None:
        """It costs a connection, and nothing else."""
        with pytest.raises(ReadOnlyServerError) as raised:
            async with db.transaction():
                await db._core.db.execute("SET TRANSACTION READ ONLY")
                await create(db)
        assert raised.value.retryable
        await create(db)


@pytest.fixture
async def small_disk(raw: asyncpg.Connection) -> AsyncIterator[str]:
    """A tablespace with room for a megabyte or two."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    owner = os.stat(await raw.fetchval("SHOW data_directory"))
    with TemporaryDirectory(prefix="digitwin-disk-", dir="/tmp") as folder:
        options = f"size=2m,uid={owner.st_uid},gid={owner.st_gid},mode=0700"
        if not await _mounts("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder):
            pytest.skip("this container cannot mount a file system")
        name = Path(folder).name.replace("-", "_")
        try:
            await raw.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            yield name
        finally:
            await raw.execute("ALTER TABLE llm_response_cache SET TABLESPACE pg_default")
            await raw.execute(f"DROP TABLESPACE {name}")
            assert await _mounts("umount", folder)


async def _mounts(*command: str) -> bool:
    return await (await asyncio.create_subprocess_exec(*command)).wait() == 0


async def test_a_full_disk(db: Database, raw: asyncpg.Connection, small_disk: str) -> None:
    await raw.execute(f"ALTER TABLE llm_response_cache SET TABLESPACE {small_disk}")
    with pytest.raises(ServerExhaustedError) as raised:
        for n in range(100):
            await db.cache.responses.set(f"{n}", os.urandom(30_000).hex())
    assert raised.value.retryable
    assert "/" not in "".join(str(link) for link in _chain(raised.value))
    assert raised.value.details == {"sqlstate": "53100"}
    assert await db.ready()
