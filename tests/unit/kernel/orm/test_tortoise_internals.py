"""A Tortoise whose private parts have changed fails at import."""

from __future__ import annotations

import pytest
from tortoise import queryset
from tortoise.models import Model

from digitwin.kernel.orm import tortoise_internals


def test_another_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "_choose_db", classmethod(lambda cls, write: None))
    with pytest.raises(ImportError, match=r"Model\._choose_db"):
        tortoise_internals._check()


def test_a_part_that_is_gone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Model, "_choose_db")
    with pytest.raises(ImportError, match=r"Model\._choose_db"):
        tortoise_internals._check()


def test_a_join_of_its_own_in_one_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queryset, "get_joins_for_related_field", lambda *_: [])
    with pytest.raises(ImportError, match="joins tables"):
        tortoise_internals._check()
