"""E-mail addresses: validated by their syntax, unique without regard to case.

The validation is deliberately loose, one ``@`` between two plausible parts: only sending a
mail shows whether an address exists.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from digitwin.kernel.primitives.validation import line, validate

MAX_LENGTH = 320
"""Characters of an address: 64 for the local part, the @, 255 for the domain (RFC 5321)."""

_PATTERN = re.compile(
    r"[^\s@<>()\[\]\\,;:\"]{1,64}@(?=.{1,255}$)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?",
)


def normalised(address: str) -> str:
    """Return the form by which an address is unique: NFKC, case-folded, trimmed; idempotent."""
    # Case folding can produce characters that NFKC composes, so it is normalised twice.
    folded = unicodedata.normalize("NFKC", address).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def _validated(address: str) -> str:
    address = address.strip()
    form = normalised(address)
    local = form.partition("@")[0]
    if (
        len(form) > MAX_LENGTH
        or not _PATTERN.fullmatch(_visible(form))
        or ".." in local
        or local != local.strip(".")
    ):
        raise ValueError("is not an e-mail address")
    return address


def _visible(form: str) -> str:
    """Return the text without combining marks, and with a space for each invisible character."""
    kinds = ((char, unicodedata.category(char)) for char in form)
    return "".join(" " if kind[0] == "C" else char for char, kind in kinds if kind[0] != "M")


Email = Annotated[str, line(MAX_LENGTH), AfterValidator(_validated)]
"""An address as it was entered, trimmed."""

_EMAIL = TypeAdapter(Email)

# Addresses that are valid ASCII skip the full validation and normalisation: this is on the path
# of every lookup by e-mail.
_ORDINARY = re.compile(
    r"(?!.*\.\.)[a-z0-9_+-](?:[a-z0-9._+-]{0,62}[a-z0-9_+-])?@"
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)
_ORDINARY_LENGTH = 254


def unique_form(address: object) -> str:
    """Validate an address and return the form by which it is unique.

    Raises:
        InvalidInputError: it is not an e-mail address.
    """
    if type(address) is str and len(address) <= _ORDINARY_LENGTH and _ORDINARY.fullmatch(address):
        return address.lower()
    return normalised(validate(_EMAIL, address, "email"))
