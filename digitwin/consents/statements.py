"""The statements about consents, each for one purpose and the models that it allows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from digitwin.consents.models import Consent
from digitwin.kernel.orm.model import Model
from digitwin.kernel.sql.audit_step import numbered as insert
from digitwin.kernel.sql.columns import columns
from digitwin.kernel.sql.queries import load

Allowed: TypeAlias = Mapping[str, type[Model]]
"""What may be active by which purpose; other purposes allow nothing here."""

_queries = load(__package__)
_PARAMETERS = {"grant": 7, "withdraw": 3, "deactivate": 2}
"""The first of a record's parameters, by statement."""


@cache
def statement(name: str, purpose: str, model: type[Model] | None) -> str:
    """A named query for one purpose."""
    sql = _queries[name]
    marks = {
        "{table}": Consent._meta.db_table if model is None else model._meta.db_table,
        "{purpose}": purpose,
        "{consent}": columns(Consent),
        "{granted}": insert(Consent, "grant", _PARAMETERS["grant"]),
        "{withdrawn}": insert(Consent, "withdraw", _PARAMETERS["withdraw"]),
    }
    if model is not None:
        alive = " WHERE done.deleted_at IS NULL"  # at most one; the deleted only forget
        marks["{deactivated}"] = insert(model, "deactivate", _PARAMETERS["deactivate"], of=alive)
    for mark, text in marks.items():
        sql = sql.replace(mark, text)
    return sql
