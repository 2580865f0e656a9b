"""``sslmode`` and its files, as in libpq.

``allow`` and ``prefer`` are passed to the driver, which implements the fallback to plain text;
from ``require`` on, one SSL context is built for all connections of the pool.
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
    """Return asyncpg's ``ssl`` argument; None: its default, ``prefer`` over TCP.

    Raises:
        ConfigurationError: the mode is unknown, or a file is unusable.
    """
    mode = given.get("sslmode")
    if mode is not None and mode not in MODES:
        raise _invalid("sslmode", f"must be one of {', '.join(MODES)}")
    if mode in STRICT:
        return _context(given, mode)
    for name in DETAILS:
        if given.get(name) and mode != "disable":
            raise _invalid(name, f"requires sslmode={', '.join(STRICT[:2])} or {STRICT[2]}")
    return mode


def _context(given: Mapping[str, str], mode: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _minimum_version(given.get("ssl_min_protocol_version") or "TLSv1.2")
    context.check_hostname = mode == "verify-full"
    authority = given.get("sslrootcert") or _default_file("root.crt")
    if mode != "require" or authority:
        _load_authority(context, mode, authority)
    else:
        context.verify_mode = ssl.CERT_NONE
    if given.get("sslcrl"):
        context.load_verify_locations(cafile=_file(given, "sslcrl"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if given.get("sslcert") or _default_file("postgresql.crt"):
        _load_certificate(context, given)
    return context


def _load_authority(context: ssl.SSLContext, mode: str, authority: str | None) -> None:
    if authority == "system":
        if mode != "verify-full":
            raise _invalid("sslrootcert", "=system requires sslmode=verify-full")
        context.load_default_certs()
        return
    if authority is None:
        raise _invalid("sslrootcert", f"is required for sslmode={mode}: a file, or `system`")
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ssl.SSLError):
        raise _invalid("sslrootcert", f"contains no readable certificate: {authority}") from None


def _load_certificate(context: ssl.SSLContext, given: Mapping[str, str]) -> None:
    if given.get("sslcert"):
        certificate = _file(given, "sslcert")
        key = _file(given, "sslkey") if given.get("sslkey") else None
    else:
        certificate, key = _default_file("postgresql.crt") or "", _default_file("postgresql.key")
    try:
        context.load_cert_chain(certificate, key, lambda: given.get("sslpassword", ""))
    except (OSError, ssl.SSLError):
        raise _invalid("sslcert", "is unusable: its key is missing or does not match") from None


def _default_file(name: str) -> str | None:
    """Return libpq's default file, if it exists."""
    path = Path("~/.postgresql").expanduser() / name
    return str(path) if path.is_file() else None


def _file(given: Mapping[str, str], name: str) -> str:
    path = given[name]
    if not Path(path).is_file():
        raise _invalid(name, f"is not a file: {path}")
    return path


def _minimum_version(version: str) -> ssl.TLSVersion:
    if version not in _VERSIONS:
        raise _invalid("ssl_min_protocol_version", f"must be one of {', '.join(_VERSIONS)}")
    return _VERSIONS[version]


def _invalid(name: str, fault: str) -> ConfigurationError:
    return ConfigurationError(f"`{name}` {fault}", field=name)
