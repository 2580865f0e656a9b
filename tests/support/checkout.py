"""The files beside the tests. A run from an installed wheel may have the tests alone."""

from __future__ import annotations

from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
"""The folder that holds ``tests``: a checkout, or a copy of the tests."""


def root() -> Path:
    """Return the root of the checkout; without one, skip the test or the module."""
    if not (TOP / "digitwin").is_dir():
        pytest.skip("needs a checkout", allow_module_level=True)
    return TOP


def read(name: str) -> str:
    """Return the text of a file of the checkout; without one, skip as `root` does."""
    return (root() / name).read_text("utf-8")
