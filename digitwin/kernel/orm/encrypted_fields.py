"""Models with encrypted fields, some of whose values may be unreadable.

A destroyed key, a missing master key or a changed value concerns one person or one row. A page of
everybody's rows comes all the same: such a row says which fields cannot be read, and raises when
one is. It holds no value for them, so that a ``save()`` writes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from digitwin.errors import DigiTwinError
from digitwin.kernel.orm.model import Model

_UNREADABLE = "_unreadable"
"""Key in an instance's ``__dict__``: the error of each field that cannot be read."""


class EncryptedFields(Model):
    """A row whose ``encrypted`` fields are decrypted by its repository."""

    class Meta:
        abstract = True

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The encrypted fields that could not be decrypted; reading one raises the reason."""
        return tuple(name for name in self._errors() if name not in self.__dict__)

    def __getattr__(self, name: str) -> Any:
        # Called only for what the instance does not have
        error = self._errors().get(name)
        if error is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise type(error)(error.message, **error.details)

    def _errors(self) -> Mapping[str, DigiTwinError]:
        found: Mapping[str, DigiTwinError] = self.__dict__.get(_UNREADABLE, {})
        return found


def mark_unreadable(row: Model, name: str, error: DigiTwinError) -> None:
    """Take a field from a row; reading it raises an error of this kind, for this reason."""
    del row.__dict__[name]
    details = {**error.details, "field": name, "id": str(row.pk)}
    told = type(error)(f"{name} of the row {row.pk} cannot be read: {error.message}", **details)
    row.__dict__.setdefault(_UNREADABLE, {})[name] = told
