"""Whether the framework of an adapter is there, in a version that the adapter was tested with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from digitwin.errors import ConfigurationError

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def require(extra: str) -> None:
    """Refuse to go on without the packages of an extra, in the versions that it names.

    The versions are those of digitwin's own package data: `pyproject.toml` is their only place.

    Raises:
        ConfigurationError: a package is missing or of another version; names the extra.
    """
    try:
        import packaging.requirements  # noqa: F401 - a part of every extra
    except ImportError:
        raise _refusal(extra, "packaging is not installed") from None
    for requirement in _requirements(extra):
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            raise _refusal(extra, f"{requirement.name} is not installed") from None
        if not requirement.specifier.contains(version, prereleases=True):
            raise _refusal(
                extra,
                f"{requirement.name} {version} is installed,"
                f" tested is {requirement.specifier or 'another'}",
            )


def _requirements(extra: str) -> Iterator[Requirement]:
    from packaging.requirements import Requirement

    for line in metadata.requires("digitwin") or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _refusal(extra: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f'{reason}: run `pip install "digitwin[{extra}]"`', field=extra)
