"""``sslmode`` and its files, with libpq's meanings.

``allow`` and ``prefer`` stay words, because falling back to plain text is the driver's own
business; from ``require`` on a context is built once, for every connection of the pool.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from digitwin.errors import ConfigurationError

STRICT = ("require", "verify-ca", "verify-full")
MODES = ("disable", "allow", "prefer", *STRICT)
DETAILS = (
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
)
KEYWORDS = ("sslmode", *DETAILS)

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def choice(given: Mapping[str, str]) -> ssl.SSLContext | str | None:
    """What asyncpg takes as ``ssl``; None leaves its default, which is ``prefer`` over TCP.

    Raises:
        ConfigurationError: an unknown mode, or a file that cannot be used.
    """
    mode = given.get("sslmode")
    if mode is not None and mode not in MODES:
        raise _wrong("sslmode", f"must be one of {', '.join(MODES)}")
    if mode in STRICT:
        return _context(given, mode)
    for name in DETAILS:
        if given.get(name) and mode != "disable":
            raise _wrong(name, f"needs sslmode={', '.join(STRICT[:2])} or {STRICT[2]}")
    return mode


def _context(given: Mapping[str, str], mode: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _oldest(given.get("ssl_min_protocol_version") or "TLSv1.2")
    context.check_hostname = mode == "verify-full"
    authority = given.get("sslrootcert") or _usual("root.crt")
    if mode != "require" or authority:
        _trust(context, mode, authority)
    else:
        context.verify_mode = ssl.CERT_NONE
    if given.get("sslcrl"):
        context.load_verify_locations(cafile=_file(given, "sslcrl"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if given.get("sslcert") or _usual("postgresql.crt"):
        _identify(context, given)
    return context


def _trust(context: ssl.SSLContext, mode: str, authority: str | None) -> None:
    if authority == "system":
        if mode != "verify-full":
            raise _wrong("sslrootcert", "=system needs sslmode=verify-full")
        context.load_default_certs()
        return
    if authority is None:
        raise _wrong("sslrootcert", f"is needed for sslmode={mode}: a file, or `system`")
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError):
        raise _wrong("sslrootcert", f"holds no readable certificate: {authority}") from None


def _identify(context: ssl.SSLContext, given: Mapping[str, str]) -> None:
    if given.get("sslcert"):
        certificate = _file(given, "sslcert")
        key = _file(given, "sslkey") if given.get("sslkey") else None
    else:
        certificate, key = _usual("postgresql.crt") or "", _usual("postgresql.key")
    try:
        context.load_cert_chain(certificate, key, lambda: given.get("sslpassword", ""))
    except (OSError, ssl.SSLError):
        raise _wrong("sslcert", "cannot be used: its key is missing or does not fit") from None


def _usual(name: str) -> str | None:
    """The file libpq takes when none is named, if it is there."""
    path = Path("~/.postgresql").expanduser() / name
    return str(path) if path.is_file() else None


def _file(given: Mapping[str, str], name: str) -> str:
    path = given[name]
    if not Path(path).is_file():
        raise _wrong(name, f"is not a file: {path}")
    return path


def _oldest(version: str) -> ssl.TLSVersion:
    if version not in _VERSIONS:
        raise _wrong("ssl_min_protocol_version", f"must be one of {', '.join(_VERSIONS)}")
    return _VERSIONS[version]


def _wrong(name: str, fault: str) -> ConfigurationError:
    return ConfigurationError(f"`{name}` {fault}", field=name)
