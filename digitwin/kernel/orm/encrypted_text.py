"""A text field that is stored encrypted."""

from __future__ import annotations

from typing import Any, Final

from tortoise import fields

from digitwin.errors import InvalidStateError

PREFIX: Final = "dt1:"
"""What every encrypted value begins with, the number being the version of the format. The schema's
CHECKs require it, too."""


class EncryptedText(fields.TextField):
    """Holds the encrypted value: repositories decrypt it, querysets return it as it is.

    Plain text in its column was not written by this package. A queryset refuses it, so that
    nobody takes it for genuine; repositories do so when they decrypt.
    """

    def to_python_value(self, value: Any) -> str | None:
        """Return the encrypted value.

        Raises:
            InvalidStateError: it is plain text.
        """
        if value is None or is_encrypted(value):
            return value  # type: ignore[no-any-return]
        name = self.model_field_name
        raise InvalidStateError(
            f"{name} is not encrypted: it was changed outside digitwin", field=name
        )

    def describe(self, serializable: bool) -> dict[str, Any]:
        """Describe the column, which is text, for migrations."""
        told = super().describe(serializable)
        return {**told, "field_type": "TextField"} if serializable else told


def is_encrypted(value: str) -> bool:
    """Whether it has the form of an encrypted value; says nothing about its key or AAD."""
    return value.startswith(PREFIX)
