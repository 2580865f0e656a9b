"""Addresses: every spelling people paste, and what none of them may give away."""

from pathlib import Path

import pytest

from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import dsn
from digitwin.settings import Settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*dsn.conninfo._VARIABLES, "PGSERVICE", "PGSERVICEFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DIGITWIN_DATABASE_URL", "DATABASE_URL", "DIGITWIN_EMBEDDED"):
        monkeypatch.delenv(name, raising=False)


def password(target: dsn.Target) -> str | None:
    return target.password.get_secret_value() if target.password else None


@pytest.mark.parametrize(
    "address",
    [
        "postgres://ada:hunter2@db.example:6432/twins",
        "postgresql://ada:hunter2@db.example:6432/twins",
        "POSTGRESQL://ada:hunter2@db.example:6432/twins",
        "postgresql+asyncpg://ada:hunter2@db.example:6432/twins",
        "postgresql+psycopg2://ada:hunter2@db.example:6432/twins",
        "asyncpg://ada:hunter2@db.example:6432/twins",
        "  postgres://ada:hunter2@db.example:6432/twins\n",
        "postgres://ada@db.example:6432/twins?password=hunter2",
        "postgres:///twins?host=db.example&port=6432&user=ada&password=hunter2",
        "host=db.example port=6432 user=ada password=hunter2 dbname=twins",
        "host = db.example port=6432 user='ada' password='hunter2' dbname='twins'",
        "postgres://ada:hunter2@db.example:6432/?database=twins",
        "postgres://ada:hunter2@db.example:6432/twins?channel_binding=prefer&gssencmode=disable",
    ],
)
def test_every_spelling_means_the_same(address: str) -> None:
    target = dsn.parse(address)
    assert (target.host, target.port) == ("db.example", 6432)
    assert (target.user, target.database, password(target)) == ("ada", "twins", SECRET)


@pytest.mark.parametrize(
    ("address", "user", "word", "database"),
    [
        ("postgres://a%40b:p%2F%3F%23%25@h/my%20db", "a@b", "p/?#%", "my db"),
        ("postgres://a:p@ss@h/d", "a", "p@ss", "d"),
        ("postgres://a:p%2Bq+r@h/d", "a", "p+q+r", "d"),
        ("postgres://a:p:q@h/d%2Fe", "a", "p:q", "d/e"),
        (r"user=a password='p\'q\\r' dbname=d host=h", "a", r"p'q\r", "d"),
        ("postgres://a@h/d?password=p+q", "a", "p+q", "d"),
    ],
)
def test_odd_characters_arrive(address: str, user: str, word: str, database: str) -> None:
    target = dsn.parse(address)
    assert (target.user, password(target), target.database) == (user, word, database)


@pytest.mark.parametrize(
    ("address", "host", "port", "local"),
    [
        ("postgres://u@/d?host=/run/pg", "/run/pg", 5432, True),
        ("postgres://u@%2Frun%2Fpg:6000/d", "/run/pg", 6000, True),
        ("postgres://u@[::1]/d", "::1", 5432, True),
        ("postgres://u@[2001:db8::7]:6000/d", "2001:db8::7", 6000, False),
        ("postgres://u@127.0.0.1/d", "127.0.0.1", 5432, True),
        ("postgres://u@localhost/d", "localhost", 5432, True),
        ("postgres://u@localhost.evil.example/d", "localhost.evil.example", 5432, False),
        ("postgres://u@10.0.0.7/d", "10.0.0.7", 5432, False),
        ("postgres://u@/d", None, 5432, True),
    ],
)
def test_hosts_of_every_kind(address: str, host: str | None, port: int, local: bool) -> None:
    target = dsn.parse(address)
    assert (target.host, target.port, target.is_local) == (host, port, local)


def test_variables_fill_what_the_address_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGUSER": "ada",
        "PGPASSWORD": SECRET,
        "PGDATABASE": "twins",
    }.items():
        monkeypatch.setenv(name, value)
    bare = dsn.parse("postgresql://")
    assert (bare.host, bare.port, bare.user) == ("db.example", 6432, "ada")
    assert (bare.database, password(bare)) == ("twins", SECRET)
    assert dsn.parse("postgresql://bob@other/d").host == "other"


def test_the_database_is_the_user_unless_named() -> None:
    assert dsn.parse("postgres://ada@h").database == "ada"


def test_a_service_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services"
    file.write_text("[twins]\nhost=db.example\ndbname=twins\nuser=ada\npassword=50%off\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    target = dsn.parse("postgres://bob@/?service=twins")
    assert (target.host, target.user, password(target)) == ("db.example", "bob", "50%off")
    with pytest.raises(ConfigurationError, match="no service `others`"):
        dsn.parse("service=others")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "twins",
        "mysql://u:hunter2@h/d",
        "jdbc:postgresql://h/d?password=hunter2",
        "postgres://u:pa#hunter2@h/d",
        "postgres://u:pa?hunter2@h/d",
        "postgres://u:pa?x=hunter2@h/d",
        "postgres://u:pa/hunter2@h/d",
        "postgres://u:pa[hunter2@h/d",
        "postgres://u:hunter2@::1/d",
        "postgres://u:hunter2@h:port/d",
        "postgres://u:hunter2@h:99999/d",
        "postgres://u:hunter2@h:0/d",
        "postgres://u:hunter2@h/d%00",
        "postgres://u:hunter2@a,b/d",
        "postgres://u:hunter2@/d?host=a,b",
        "postgres://u:hunter2@h/d?colour=red",
        "postgres://u:hunter2@h/d?colour",
        "postgres://u:hunter2@h/d?sslmode=perhaps",
        "postgres://u:hunter2@h/d?channel_binding=require",
        "host=h password='hunter2",
        "host=h hunter2",
    ],
)
def test_what_cannot_be_meant_is_refused_and_never_quoted(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dsn.parse(address)
    assert SECRET not in f"{caught.value} {caught.value.details}"
    assert "field" in caught.value.details


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ConfigurationError, match="`colour`"):
        dsn.parse("postgres://u@h/d?colour=red")


def test_several_hosts_are_told_apart_from_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="Several hosts are not supported yet"):
        dsn.parse("postgres://u@a:1,b:2/d")


def test_the_password_is_only_where_it_is_asked_for() -> None:
    target = dsn.parse("postgres://u:hunter2@h/d?sslmode=require&sslpassword=hunter2")
    assert SECRET not in f"{target!r} {target} {target.display}"
    assert target.connect_args()["password"] == SECRET
    assert password(dsn.parse(target.url)) == SECRET


@pytest.mark.parametrize(
    "address",
    [
        "postgres://a%40b:p%2F@h:6000/my%20db?sslmode=prefer",
        "postgres://u:p@[::1]/d",
        "postgres://u@[::1]:5433/d?target_session_attrs=any",
        "postgres://u@/d?host=/var/run&target_session_attrs=standby",
        "postgres://u:p@/d?host=/run/my%20folder%26co&port=6000",
        "postgres://u@/d",
    ],
)
def test_a_printed_url_means_the_same_again(address: str) -> None:
    target = dsn.parse(address)
    assert dsn.parse(target.url) == target


def test_what_the_url_says_of_the_settings_counts_where_they_are_silent() -> None:
    target = dsn.parse("postgres://u@h/d?application_name=desk&connect_timeout=3")
    over = target.apply_to(Settings(connect_timeout=5))
    assert (over.application_name, over.connect_timeout) == ("desk", 5)
    with pytest.raises(ConfigurationError, match="`connect_timeout`"):
        dsn.parse("postgres://u@h/d?connect_timeout=soon").apply_to(Settings())


def test_server_options_reach_the_server() -> None:
    target = dsn.parse("postgres://u@h/d?options=-c%20geqo%3Doff")
    assert target.connect_args()["server_settings"] == {"options": "-c geqo=off"}


def test_the_address_is_looked_for_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dsn.resolve(Settings()) is None
    monkeypatch.setenv("DATABASE_URL", "postgres://platform/d")
    assert _host(dsn.resolve(Settings())) == "platform"
    Path(".env").write_text("DIGITWIN_DATABASE_URL=postgres://ours/d\n")
    assert _host(dsn.resolve(Settings())) == "ours"
    assert _host(dsn.resolve(Settings(), "postgres://argument/d")) == "argument"


def test_embedded_always_passes_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://platform/d")
    settings = Settings(embedded="always")
    assert dsn.resolve(settings) is None
    assert _host(dsn.resolve(settings, "postgres://argument/d")) == "argument"


def test_embedded_never_wants_an_address() -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        dsn.resolve(Settings(embedded="never"))


def test_an_empty_argument_is_a_mistake_not_a_wish_for_the_embedded_server() -> None:
    with pytest.raises(ConfigurationError):
        dsn.resolve(Settings(), "")


def _host(target: dsn.Target | None) -> str | None:
    return target.host if target else None
