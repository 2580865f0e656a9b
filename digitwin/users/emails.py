"""E-mail addresses: checked for shape, compared without case.

The check is deliberately loose, one ``@`` between parts that could be real: whether mail
arrives is something only a mail can tell.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from digitwin.kernel.primitives.validation import line, validate

MAX_LENGTH = 320
"""Characters of an address: 64 of the local part, the @, 255 of the domain (RFC 5321)."""

_SHAPE = re.compile(
    r"[^\s@<>()\[\]\\,;:\"]{1,64}@(?=.{1,255}$)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?",
)


def normalised(address: str) -> str:
    """The form by which an address is unique: trimmed, compatibility characters folded, no case.

    Folding the case can leave characters that compose: they are folded once more, so that the
    form of a form is itself.
    """
    folded = unicodedata.normalize("NFKC", address).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def _shaped(address: str) -> str:
    address = address.strip()
    form = normalised(address)
    local = form.partition("@")[0]
    if (
        len(form) > MAX_LENGTH
        or not _SHAPE.fullmatch(_visible(form))
        or ".." in local
        or local != local.strip(".")
    ):
        raise ValueError("is not an e-mail address")
    return address


def _visible(form: str) -> str:
    """Without the marks that letters of many scripts carry; a space for what nobody can see."""
    kinds = ((char, unicodedata.category(char)) for char in form)
    return "".join(" " if kind[0] == "C" else char for char, kind in kinds if kind[0] != "M")


Email = Annotated[str, line(MAX_LENGTH), AfterValidator(_shaped)]
"""An address as a person wrote it, trimmed."""

_EMAIL = TypeAdapter(Email)
_ORDINARY = re.compile(
    r"(?!.*\.\.)[a-z0-9_+-](?:[a-z0-9._+-]{0,62}[a-z0-9_+-])?@"
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)
_ORDINARY_LENGTH = 254


def unique_form(address: object) -> str:
    """The form by which an address is unique, checked; most need one look only.

    Raises:
        InvalidInputError: it is no e-mail address.
    """
    if (
        isinstance(address, str)
        and len(address) <= _ORDINARY_LENGTH
        and _ORDINARY.fullmatch(address)
    ):
        return address.lower()
    return normalised(validate(_EMAIL, address, "email"))
