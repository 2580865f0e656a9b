"""E-mail addresses: validated by their syntax, unique by one form.

The form is what reaches one mailbox: the local part without regard to case, and the domain as the
DNS knows it, its A-label of IDNA 2008. So ``münchen.de`` and ``xn--mnchen-3ya.de`` are one domain,
while ``straße`` and ``strasse``, or ``fußball.de`` and ``fussball.de``, are two: an address that
only resembles another must never open its account.

A domain is mapped by UTS 46 first, as browsers and mail programs do (case, full-width letters,
composition), without its transitional rules, by which ``ß`` would become ``ss`` as in IDNA 2003.

The validation is deliberately loose, one ``@`` between two plausible parts: only sending a
mail shows whether an address exists.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from digitwin.kernel.primitives.validation import DEFERRED, line, validate

MAX_LENGTH = 320
"""Characters of an address: 64 for the local part, the @, 255 for the domain (RFC 5321)."""

_PATTERN = re.compile(
    r"[^\s@<>()\[\]\\,;:\"]{1,64}@(?=.{1,255}$)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W_](?:[\w-]{0,61}[^\W_])?",
)


def normalised(address: str) -> str:
    """Return the form by which an address is unique; idempotent."""
    local, at, domain = address.strip().rpartition("@")
    return f"{_folded(local)}{at}{_a_labels(domain) or _folded(domain)}"


def _folded(text: str) -> str:
    """Return a text in lower case and composed (NFC).

    Not case-folded: that merges ``ß`` with ``ss``. Lower case can produce characters that NFC
    composes, so it is composed twice.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _a_labels(domain: str) -> str | None:
    """Return a domain as the DNS knows it; None if IDNA 2008 has no form of it."""
    if domain.isascii():
        return domain.lower()
    import idna

    try:
        composed = unicodedata.normalize("NFC", domain)
        return idna.encode(composed, uts46=True, std3_rules=True).decode()
    except UnicodeError:
        return None


def _validated(address: str) -> str:
    address = address.strip()
    compatible = unicodedata.normalize("NFKC", address)  # a full-width @ is none of the two parts
    local = compatible.partition("@")[0]
    if (
        len(normalised(address)) > MAX_LENGTH
        or not _PATTERN.fullmatch(_visible(compatible))
        or _a_labels(address.rpartition("@")[2]) is None
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

_EMAIL = TypeAdapter(Email, config=DEFERRED)

# Ordinary addresses skip the full validation and normalisation: this is on the path of every lookup
# by e-mail. They are short, so that no part can be too long.
_ORDINARY = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@"
    r"(?:[a-z0-9]+(?:-+[a-z0-9]+)*\.)+[a-z0-9]+(?:-+[a-z0-9]+)*"
)
_ORDINARY_LENGTH = 64


def unique_form(address: object) -> str:
    """Validate an address and return the form by which it is unique.

    Raises:
        InvalidInputError: it is not an e-mail address.
    """
    if type(address) is str and len(address) <= _ORDINARY_LENGTH and address.isascii():
        form = address.lower()
        if _ORDINARY.fullmatch(form):
            return form
    return normalised(validate(_EMAIL, address, "email"))
