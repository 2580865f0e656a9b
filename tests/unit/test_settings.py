"""Settings: where they come from, what they refuse, and what they keep to themselves."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from digitwin.errors import ConfigurationError
from digitwin.retention import TierRetention
from digitwin.settings import Settings, load_settings
from tests.support import checkout

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(f"DIGITWIN_{field.upper()}", raising=False)
    for name in ("DIGITWIN_DATABASE_URL", "DATABASE_URL", "DIGITWIN_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = Settings()
    assert (settings.pool_min, settings.pool_max) == (1, 10)
    assert (settings.connect_timeout, settings.acquire_timeout) == (10, 10)
    assert (settings.idle_timeout, settings.statement_timeout) == (600, 30)
    assert (settings.schema, settings.migrate, settings.url) == ("public", None, None)
    assert settings.audit_retention == timedelta(days=90).total_seconds()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("DIGITWIN_POOL_MAX=7\nDIGITWIN_POOL_MIN=3\nUNRELATED=1\n")
    monkeypatch.setenv("DIGITWIN_POOL_MAX", "8")
    assert (Settings().pool_min, Settings().pool_max) == (3, 8)


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITWIN_POOL_MAX", "8")
    assert Settings(pool_max=9).pool_max == 9


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITWIN_POOL_MAX", "")
    assert Settings().pool_max == 10


def test_unprefixed_variables_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "DIGITWIN_URL", "SCHEMA", "HOME_", "POOL_MAX"):
        monkeypatch.setenv(name, "5")
    assert Settings() == Settings(_env_file=None)


def test_a_file_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        Settings()


@pytest.mark.parametrize("given", [90, 90.0, "90", timedelta(minutes=1.5)])
def test_a_duration_is_seconds_or_a_timedelta(given: Any) -> None:
    assert Settings(statement_timeout=given).statement_timeout == 90.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pool_max", 1),
        ("pool_max", 1001),
        ("pool_max", "many"),
        ("pool_max", True),
        ("pool_min", -1),
        ("pool_min", 11),
        ("connect_timeout", 0),
        ("connect_timeout", -1),
        ("connect_timeout", True),
        ("connect_timeout", float("nan")),
        ("connect_timeout", float("inf")),
        ("connect_timeout", 10**400),
        ("connect_timeout", "soon"),
        ("connect_timeout", timedelta(days=2)),
        ("maintenance_interval", 0),
        ("schema", "my schema"),
        ("schema", 'x"; drop table users; --'),
        ("schema", "public\n"),
        ("schema", "pg_catalog"),
        ("schema", "a" * 64),
        ("application_name", "tüt"),
        ("application_name", ""),
        ("migrate", "maybe"),
        ("embedded", "sometimes"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"`{field}`") as caught:
        Settings(**{field: value})
    assert caught.value.details["field"] == field


def test_a_limit_is_told() -> None:
    with pytest.raises(ConfigurationError, match="greater than or equal to 2") as caught:
        Settings(pool_max=1)
    assert caught.value.details["ge"] == 2


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="no setting `pool_maximum`"):
        Settings(pool_maximum=3)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().pool_max = 3  # type: ignore[misc]


def test_replaced_fields_are_checked_like_given_ones() -> None:
    settings = Settings(pool_max=5)
    assert settings.with_overrides(schema="twins").schema == "twins"
    assert settings.with_overrides(schema="twins").pool_max == 5
    with pytest.raises(ConfigurationError, match="`pool_min`"):
        settings.with_overrides(pool_min=6)


def test_replacing_starts_from_what_was_given_not_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = Settings(pool_max=5)
    monkeypatch.setenv("DIGITWIN_POOL_MAX", "8")
    assert load_settings(given, {"pool_min": 2}).pool_max == 5
    assert load_settings(None, {"pool_min": 2}).pool_max == 8


def test_a_password_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgres://u:{SECRET}@other/db")
    settings = Settings(url=f"postgres://u:{SECRET}@host/db")
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_refused_value_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(url=[SECRET])
    assert SECRET not in f"{caught.value} {caught.value.details}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_example_file_names_every_setting_with_its_default() -> None:
    example = checkout.read(".env.example")
    lines = [line.removeprefix("#") for line in example.splitlines()]
    told = dict(line.split("=", 1) for line in lines if line.startswith("DIGITWIN_"))
    names = {_variable(field) for field in Settings.model_fields} - {"DATABASE_URL"}
    assert told.keys() == names
    for field in Settings.model_fields.keys() - {"url", "database_url"} - _WITHOUT_A_DEFAULT:
        assert str(getattr(Settings(), field)).removesuffix(".0") == told[_variable(field)]


_WITHOUT_A_DEFAULT = {
    "sslmode",
    "sslrootcert",
    "ssl_min_protocol_version",
    *("migrate", "maintenance_interval", "policies", "decision_timeout"),
    *("master_key", "master_keys_retired", "master_key_file", "key_store_path"),
    *("audit_key", "audit_keys_retired", "audit_key_file", "audit_public_keys"),
    *("audit_checkpoints", "audit_archive", "session_archive", "session_retention"),
    *("erasure_ledger", "erasure_pepper"),
}


def _variable(field: str) -> str:
    return str(Settings.model_fields[field].validation_alias or f"DIGITWIN_{field.upper()}")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        (60, (60, 60, 60)),
        ("60", (60, 60, 60)),
        (timedelta(minutes=1), (60, 60, 60)),
        ({"free": 60, "pro": timedelta(hours=1)}, (60, 3600, None)),
        ({"enterprise": None}, (None, None, None)),
        ('{"free": 60, "pro": null}', (60, None, None)),
        (TierRetention(pro=5), (None, 5, None)),
    ],
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_a_retention_is_one_or_one_for_each_tier(
    given: object, kept: object, by_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_environment and isinstance(given, str):
        monkeypatch.setenv("DIGITWIN_SESSION_RETENTION", given)
        settings = Settings()
    else:
        settings = Settings(session_retention=given)
    found = settings.with_overrides(pool_max=3).session_retention
    assert found == settings.session_retention
    assert kept == (found and (found.free, found.pro, found.enterprise))


@pytest.mark.parametrize(
    "given",
    [0, -1, True, "soon", "[]", '{"free":', {"gold": 1}, {"free": 0}, {"free": "x"}, {1: 2}],
)
def test_another_retention_is_refused_by_name(given: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings(session_retention=given)
    assert refused.value.details["field"] == "session_retention"
