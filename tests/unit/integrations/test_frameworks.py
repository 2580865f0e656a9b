"""An adapter without its framework says what to install."""

from __future__ import annotations

from importlib import metadata

import pytest

from digitwin.errors import ConfigurationError
from digitwin.integrations.frameworks import require

EXTRAS = ["livekit", "pipecat", "openai-agents", "langchain"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_installed_for_the_tests_is_accepted(extra: str) -> None:
    require(extra)


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_newer_framework_is_refused(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name != "packaging" else "25")
    with pytest.raises(ConfigurationError, match=rf"99\.0 is installed.*digitwin\[{extra}\]"):
        require(extra)


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_framework_is_named(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(ConfigurationError, match=rf"not installed.*digitwin\[{extra}\]"):
        require(extra)
