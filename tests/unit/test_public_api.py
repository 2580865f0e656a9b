"""What ``import digitwin`` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import digitwin
from digitwin import models, protocols


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def members(kind: type[Any]) -> list[tuple[str, Any]]:
    """A class's own public methods and properties."""
    return [
        (name, member)
        for name, member in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    ]


@pytest.mark.parametrize("module", [digitwin, models, protocols])
def test_the_list_of_names_is_sorted_and_has_no_name_twice(module: Any) -> None:
    assert module.__all__ == sorted(set(module.__all__))


@pytest.mark.parametrize("name", digitwin.__all__)
def test_every_name_can_be_imported_and_is_explained(name: str) -> None:
    offered = getattr(digitwin, name)
    assert inspect.getdoc(offered)
    assert callable(offered)


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m in (models, protocols) for name in m.__all__]
)
def test_every_model_and_protocol_can_be_imported_and_is_explained(module: Any, name: str) -> None:
    assert vars(getattr(module, name))["__doc__"]


@pytest.mark.parametrize("name", [n for n in digitwin.__all__ if n[0].isupper()])
def test_every_public_method_is_explained(name: str) -> None:
    assert [n for n, member in members(getattr(digitwin, name)) if not inspect.getdoc(member)] == []


@pytest.mark.parametrize(
    "name",
    [
        *("users", "voices", "faces", "sessions", "documents", "consents", "keys"),
        *("memories", "cache", "limits", "audit", "privacy"),
    ],
)
def test_every_method_of_a_repository_is_explained(name: str) -> None:
    module = sys.modules[digitwin.Database.__module__]
    repository = vars(module)[digitwin.Database.__annotations__[name]]
    for kind in repository.__mro__[:-1]:
        if kind.__module__.startswith("digitwin"):
            assert [n for n, member in members(kind) if not inspect.getdoc(member)] == []


def test_a_star_imports_exactly_what_is_offered() -> None:
    there: dict[str, Any] = {}
    exec("from digitwin import *", there)
    assert sorted(there.keys() - {"__builtins__"}) == digitwin.__all__


def test_what_is_not_offered_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        digitwin.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        exec("from digitwin import nonsense")


def test_a_shell_completes_what_is_offered() -> None:
    assert set(digitwin.__all__) <= set(dir(digitwin))


def test_what_is_offered_comes_with_its_types() -> None:
    """A checker reads the names where they are loaded from: both lists are one."""
    from digitwin import _public

    # pytest's rewriting of assertions adds names such as "@pytest_ar" to a plugin's modules.
    public = [name for name in vars(_public) if name.isidentifier() and not name.startswith("_")]
    assert sorted(public) == digitwin.__all__


@pytest.mark.parametrize("heavy", ["tortoise", "asyncpg", "pydantic", "typer", "rich", "asyncio"])
def test_the_import_alone_loads_nothing_heavy(heavy: str) -> None:
    assert run(f"import sys, digitwin; print({heavy!r} in sys.modules)") == "False"


def test_the_errors_load_nothing_heavy() -> None:
    loaded = run(
        "import sys, digitwin.errors; print(sorted({'tortoise', 'asyncpg'} & {*sys.modules}))"
    )
    assert loaded == "[]"


def test_a_name_is_loaded_at_its_first_use() -> None:
    assert run("import digitwin; print(digitwin.uuid7().version)") == "7"


@pytest.mark.parametrize(("module", "name"), [("models", "User"), ("protocols", "Users")])
def test_a_public_module_can_be_imported_first(module: str, name: str) -> None:
    assert run(f"from digitwin.{module} import {name}; print({name}.__name__)") == name


def test_nothing_is_logged_or_printed_by_importing_everything() -> None:
    assert run("from digitwin import *; import digitwin.models") == ""


def test_a_name_is_what_the_list_for_type_checkers_says() -> None:
    from digitwin import _public

    homes = digitwin._HOMES
    assert sorted(name for names in homes.values() for name in names) == digitwin.__all__
    for name in digitwin.__all__:
        assert getattr(digitwin, name) is getattr(_public, name)


@pytest.mark.parametrize("home", sorted(digitwin._HOMES))
def test_a_module_of_names_can_be_imported_first(home: str) -> None:
    run(f"import digitwin.{home}")
