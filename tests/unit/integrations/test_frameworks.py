"""An adapter without its framework says what to install."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from digitwin.errors import ConfigurationError
from digitwin.integrations.frameworks import require

EXTRAS = ["livekit", "pipecat", "openai-agents", "langchain"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_installed_for_the_tests_is_accepted(extra: str) -> None:
    require(extra)


@pytest.mark.parametrize("version", ["99.0", "0.0.1"])
@pytest.mark.parametrize("extra", EXTRAS)
def test_another_version_is_refused(
    extra: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version if name != "packaging" else "25")
    refusal = rf"{re.escape(version)} is installed.*digitwin\[{extra}\]"
    with pytest.raises(ConfigurationError, match=refusal):
        require(extra)


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_framework_is_named(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(ConfigurationError, match=rf"not installed.*digitwin\[{extra}\]"):
        require(extra)
