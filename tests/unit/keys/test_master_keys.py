"""Master keys from settings and files."""

from __future__ import annotations

import base64
import os
import stat
import threading
from pathlib import Path

import pytest

from digitwin.errors import ConfigurationError, KeyUnavailableError
from digitwin.keys import master_keys
from digitwin.settings import Settings

CONTEXT = {"user_id": "1"}


def made(**settings: object) -> Settings:
    return Settings(_env_file=None, **settings)


async def test_retired_keys_open_and_the_present_one_wraps() -> None:
    old, new = master_keys.generate(), master_keys.generate()
    before = master_keys.service_of(made(master_key=old), None)
    wrapped = await before.wrap(b"k" * 32, CONTEXT)
    between = master_keys.service_of(made(master_key=new, master_keys_retired=f"{old}"), None)
    assert await between.unwrap(wrapped, CONTEXT) == b"k" * 32
    assert between.key_id != before.key_id
    again = await between.wrap(b"k" * 32, CONTEXT)
    assert (
        await master_keys.service_of(made(master_key=new), None).unwrap(again, CONTEXT) == b"k" * 32
    )
    with pytest.raises(KeyUnavailableError) as error:
        await before.unwrap(again, CONTEXT)
    assert error.value.details["key_id"] == between.key_id


async def test_a_wrapped_key_is_bound_to_its_context() -> None:
    service = master_keys.service_of(made(master_key=master_keys.generate()), None)
    wrapped = await service.wrap(b"k" * 32, CONTEXT)
    with pytest.raises(KeyUnavailableError):
        await service.unwrap(wrapped, {"user_id": "2"})


@pytest.mark.parametrize("name", ["master_key", "master_keys_retired"])
@pytest.mark.parametrize("value", ["", "word", base64.b64encode(bytes(16)).decode(), "ä"])
def test_a_key_of_another_form_is_refused_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        made(**{name: value})
    assert error.value.details["field"] == name
    assert not value or value not in error.value.message


def test_a_key_is_shown_by_no_settings() -> None:
    key = master_keys.generate()
    assert key not in repr(made(master_key=key, master_keys_retired=key))


async def test_whoever_needs_a_key_and_has_none_is_told_how_to_make_it() -> None:
    nobody = master_keys.service_of(made(), None)
    with pytest.raises(ConfigurationError, match="digitwin keys generate") as error:
        await nobody.wrap(b"", CONTEXT)
    assert error.value.details["field"] == "master_key"


def test_two_sources_are_refused(tmp_path: Path) -> None:
    settings = made(master_key=master_keys.generate(), master_key_file=tmp_path / "key")
    with pytest.raises(ConfigurationError, match="master_key_file"):
        master_keys.service_of(settings, None)


async def test_the_embedded_servers_key_is_made_when_it_is_needed(tmp_path: Path) -> None:
    service = master_keys.service_of(made(), tmp_path)
    path = tmp_path / "master.key"
    assert not path.exists()
    wrapped = await service.wrap(b"k" * 32, CONTEXT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await master_keys.service_of(made(), tmp_path).unwrap(wrapped, CONTEXT) == b"k" * 32


def test_of_many_who_make_the_file_one_does(tmp_path: Path) -> None:
    made_it: list[bool] = []
    threads = [
        threading.Thread(target=lambda: made_it.append(master_keys.write_new(tmp_path / "key")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made_it) == [False] * 7 + [True]
    assert os.listdir(tmp_path) == ["key"]
    assert len(master_keys.read(tmp_path / "key")) == 1


def test_a_key_file_may_hold_retired_keys_below(tmp_path: Path) -> None:
    path, new, old = tmp_path / "key", master_keys.generate(), master_keys.generate()
    path.touch(0o600)
    path.write_text(f"{new}\n{old}\n")
    service = master_keys.service_of(made(master_key_file=path), None)
    assert service.key_id == master_keys.service_of(made(master_key=new), None).key_id


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (None, 0o600, "cannot be read"),
        ("", 0o600, "empty"),
        ("word", 0o600, "32 bytes"),
        (base64.b64encode(bytes(32)).decode(), 0o644, "chmod 600"),
    ],
)
def test_a_key_file_that_does_not_serve_is_named(
    tmp_path: Path, text: str | None, mode: int, said: str
) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said) as error:
        master_keys.service_of(made(master_key_file=path), None)
    assert error.value.details["field"] == "master_key_file"
    assert str(path) in error.value.message
