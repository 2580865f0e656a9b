"""Parses database addresses into libpq keywords.

Supported: URLs (``postgres://``, ``postgresql://``, also with a driver, such as
``postgresql+asyncpg://``), libpq's ``host=… dbname=…``, the ``PG*`` variables as defaults, and
services of ``pg_service.conf``. Errors never contain the address, which may hold a password.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import tls

KEYWORDS = {
    "host",
    "port",
    "user",
    "password",
    "passfile",
    "dbname",
    "connect_timeout",
    "application_name",
    "options",
    "service",
    "target_session_attrs",
    *tls.KEYWORDS,
}
_SPELLINGS = {"database": "dbname", "ssl": "sslmode"}
_HARMLESS = {
    "channel_binding": {"disable", "prefer"},
    "gssencmode": {"disable", "prefer"},
    "client_encoding": {"utf8", "utf-8", "auto"},
}
"""Keywords that are ignored, with the values for which that is safe."""

_VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGDATABASE": "dbname",
    "PGAPPNAME": "application_name",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGOPTIONS": "options",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCRL": "sslcrl",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
}
_SCHEME = re.compile(r"(?:postgres(?:ql)?(?:\+\w+)?|asyncpg)://", re.IGNORECASE)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")


def keywords(address: str, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Parse an address. Precedence: the address, its service, the settings, the environment.

    Raises:
        ConfigurationError: the address is malformed, or has an unsupported keyword.
    """
    address = address.strip()
    found = _parse_url(address) if _SCHEME.match(address) else _parse_pairs(address)
    found = _normalize(found)
    service = found.pop("service", None) or os.environ.get("PGSERVICE")
    if service:
        found = _normalize(_read_service(service)) | found
    found = dict(settings) | found
    return _from_environment(found) | found


def _from_environment(found: Mapping[str, str]) -> dict[str, str]:
    """Return the ``PG*`` variables; those for TLS files only if TLS is required."""
    variables = {
        word: os.environ[name] for name, word in _VARIABLES.items() if os.environ.get(name)
    }
    mode = found.get("sslmode") or variables.get("sslmode")
    if mode not in tls.STRICT:
        return {name: value for name, value in variables.items() if name not in tls.DETAILS}
    return variables


def _parse_url(url: str) -> dict[str, str]:
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if parts is None:  # outside a handler: the error quotes the URL
        raise _malformed()
    login, _, server = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    found = _parse_host(server) | {
        "user": unquote(user),
        "password": unquote(password),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    if parts.fragment or "/" in parts.path[1:]:
        raise _malformed()
    return {name: value for name, value in found.items() if value} | _parse_query(parts.query)


def _parse_query(text: str) -> dict[str, str]:
    """Parse like libpq: a plus sign is not a space."""
    found = {}
    for pair in filter(None, text.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            raise _malformed()
        found[name] = unquote(value)
    return found


def _parse_host(server: str) -> dict[str, str]:
    """``host``, ``host:port``, ``[::1]:port`` or ``%2Fa%2Fsocket``."""
    if "," in server:
        raise _multiple_hosts()
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?", server)
    if match is None:
        raise _malformed()
    return {"host": unquote(match[1]).strip("[]"), "port": match[2] or ""}


def _parse_pairs(text: str) -> dict[str, str]:
    found, at = {}, 0
    while match := _PAIR.match(text, at):
        value = match[2]
        quoted = value.startswith("'")
        found[match[1]] = re.sub(r"\\(.)", r"\1", value[1:-1] if quoted else value)
        at = match.end()
    if text[at:].strip() or not found:
        raise _malformed()
    return found


def _read_service(name: str) -> dict[str, str]:
    path = Path(os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(path)
        return dict(file[name])
    except (configparser.Error, KeyError, OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} has no service `{name}`", field="service") from None


def _normalize(found: dict[str, str]) -> dict[str, str]:
    known = {}
    for spelling, value in found.items():
        name = _SPELLINGS.get(spelling, spelling)
        if name in KEYWORDS:
            known[name] = _MEANINGS.get(value, value) if spelling == "ssl" else value
        elif value.lower() not in _HARMLESS.get(name, ()):
            raise ConfigurationError(
                f"The URL's parameter `{name}` is not supported: remove it", field=name
            )
    if "," in known.get("host", "") or "," in known.get("port", ""):
        raise _multiple_hosts()
    return known


_MEANINGS = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


def _malformed() -> ConfigurationError:
    return ConfigurationError(
        "The URL is malformed: write it as postgresql://user:password@host:5432/database,"
        " with an IPv6 host in brackets, and in a user name or password `#`, `/`, `?` and `@`"
        " as %23, %2F, %3F and %40",
        field="url",
    )


def _multiple_hosts() -> ConfigurationError:
    return ConfigurationError("Several hosts are not supported yet: give one", field="host")
