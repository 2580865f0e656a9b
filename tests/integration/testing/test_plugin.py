"""The pytest plugin, as it behaves in the test runs of others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from digitwin.testing.databases import Databases, open_databases

PRELUDE = """
import asyncpg, os, pytest, re

async def query(url, sql):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()

ADD = "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'a@example.com', 'Ada')"
COUNT = "SELECT count(*) FROM users"
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a module of tests with pytest, in a process of its own."""
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")

    def run(tests: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(PRELUDE + tests)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return run


@pytest.fixture
def observer() -> Iterator[Databases]:
    """A run of our own, which sees what others leave behind."""
    with open_databases(os.environ.get("DIGITWIN_TEST_URL")) as databases:
        yield databases


def is_there(observer: Databases, name: str) -> bool:
    cloner = observer._cloner
    statement = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
    return bool(observer._thread.run(cloner._connection.fetchval(statement, name)))


def named(result: pytest.RunResult) -> str:
    """The database that a test of ``tell`` printed."""
    (line,) = (line for line in result.outlines if "DATABASE=" in line)
    return line.partition("DATABASE=")[2].strip()


@pytest.fixture(params=["one process", "two workers"])
def processes(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Arguments for pytest; workers need pytest-xdist, which the plugin does not."""
    if request.param == "one process":
        return ()
    pytest.importorskip("xdist")
    return ("-n", "2")


def test_each_test_has_an_empty_migrated_database(run: Run, processes: tuple[str, ...]) -> None:
    result = run(
        """
@pytest.mark.parametrize("n", range(4))
async def test_finds_nothing_of_the_others(digitwin_url, n):
    await query(digitwin_url, ADD)
    assert await query(digitwin_url, COUNT) == 1
""",
        *processes,
    )
    result.assert_outcomes(passed=4)


def test_the_handle_is_on_the_database_of_the_url(run: Run) -> None:
    result = run(
        """
async def test_both(digitwin_db, digitwin_url):
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    assert await query(digitwin_url, "SELECT id FROM users") == ada.id
"""
    )
    result.assert_outcomes(passed=1)


def test_the_factory_opens_handles_on_new_databases_and_on_the_same(run: Run) -> None:
    result = run(
        """
async def test_three(digitwin_db, digitwin_db_factory, digitwin_url):
    same = await digitwin_db_factory(digitwin_url, pool_max=3)
    other = await digitwin_db_factory()
    ada = await digitwin_db.users.create(email="ada@example.com", name="Ada")
    assert same.settings.pool_max == 3
    assert (await same.users.get(ada.id)).name == "Ada"
    assert await other.users.find(ada.id) is None
"""
    )
    result.assert_outcomes(passed=1)


def test_tests_without_an_event_loop_are_served(run: Run) -> None:
    result = run("def test_url(digitwin_url): assert '/digitwin_test_' in digitwin_url")
    result.assert_outcomes(passed=1)


TELL = r"""
def test_tell(digitwin_url):
    print("DATABASE=" + re.search(r"digitwin_test_\w+", digitwin_url)[0], flush=True)
    {then}
"""


def test_nothing_is_left_behind(run: Run, observer: Databases) -> None:
    name = named(run(TELL.format(then=""), "-s"))
    assert not is_there(observer, name)
    assert not is_there(observer, name.rpartition("_")[0] + "_template")


def test_the_next_run_clears_away_what_a_crashed_one_left(run: Run, observer: Databases) -> None:
    name = named(run(TELL.format(then="os._exit(1)"), "-s"))
    assert is_there(observer, name)
    run("def test_next(digitwin_url): pass").assert_outcomes(passed=1)
    assert not is_there(observer, name)
    assert not is_there(observer, name.rpartition("_")[0] + "_template")


def test_a_run_that_goes_on_keeps_what_it_has(run: Run, observer: Databases) -> None:
    mine = observer.create()
    run("def test_beside_it(digitwin_url): pass").assert_outcomes(passed=1)
    assert is_there(observer, mine.database)


HIDE = """
from importlib.machinery import PathFinder

class Hiding:
    find = PathFinder.find_spec
    def __call__(self, name, *rest):
        return None if name == "pytest_asyncio" else self.find(name, *rest)

PathFinder.find_spec = Hiding()
"""


@pytest.mark.usefixtures("without_pytest_asyncio")
def test_without_pytest_asyncio_an_error_says_what_to_install(run: Run) -> None:
    result = run("def test_handle(digitwin_db): pass", "-p", "no:asyncio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*digitwin_db needs pytest-asyncio: run `pip install*"])


@pytest.mark.usefixtures("without_pytest_asyncio")
def test_without_pytest_asyncio_the_url_is_there(run: Run) -> None:
    run("def test_url(digitwin_url): pass", "-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.fixture
def without_pytest_asyncio(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(sitecustomize=HIDE)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITWIN_TEST_URL", "postgresql://ada:secret@127.0.0.1:1/twins")


@pytest.mark.usefixtures("nowhere")
def test_a_server_out_of_reach_is_told_in_one_line(run: Run) -> None:
    result = run("def test_url(digitwin_url): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["No database for tests: Cannot connect to *127.0.0.1:1*"])
    result.stdout.no_fnmatch_line("*secret*")


@pytest.mark.usefixtures("nowhere")
def test_a_run_that_does_not_ask_is_left_alone(run: Run) -> None:
    run("def test_mine(): pass").assert_outcomes(passed=1)


def test_being_installed_costs_next_to_nothing() -> None:
    heavy = "{'asyncpg', 'tortoise', 'pydantic', 'rich'} & set(sys.modules)"
    program = f"import digitwin.testing.plugin, sys; sys.exit({heavy} or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
