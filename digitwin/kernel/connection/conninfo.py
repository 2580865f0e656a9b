"""What a database address says, in any spelling people paste, as libpq's keywords.

Understood are URLs (``postgres://``, ``postgresql://``, with a driver as in
``postgresql+asyncpg://``), libpq's ``host=… dbname=…``, the ``PG*`` variables as defaults,
and a named service of ``pg_service.conf``. An address is never quoted in an error: it may
hold a password.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
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
    *tls.KEYWORDS,
}
_SPELLINGS = {"database": "dbname", "ssl": "sslmode"}
_HARMLESS = {
    "channel_binding": {"disable", "prefer"},
    "gssencmode": {"disable", "prefer"},
    "target_session_attrs": {"any"},
    "client_encoding": {"utf8", "utf-8", "auto"},
}
"""Keywords we have nothing to do for, with the values for which that is true."""

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
    """The address's own words, then its service's, then the settings', then the environment's.

    Raises:
        ConfigurationError: it cannot be read, or says something we do not know.
    """
    address = address.strip()
    said = _of_url(address) if _SCHEME.match(address) else _of_pairs(address)
    said = _known(said)
    service = said.pop("service", None) or os.environ.get("PGSERVICE")
    if service:
        said = _known(_of_service(service)) | said
    said = dict(settings) | said
    return _ambient(said) | said


def _ambient(said: Mapping[str, str]) -> dict[str, str]:
    """The ``PG*`` variables; files for TLS only where TLS is asked for."""
    words = {word: os.environ[name] for name, word in _VARIABLES.items() if os.environ.get(name)}
    mode = said.get("sslmode") or words.get("sslmode")
    if mode not in tls.STRICT:
        return {name: value for name, value in words.items() if name not in tls.DETAILS}
    return words


def _of_url(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unescaped() from None
    login, _, server = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    said = _host_and_port(server) | {
        "user": unquote(user),
        "password": unquote(password),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    if parts.fragment or "/" in parts.path[1:]:
        raise _unescaped()
    return {name: value for name, value in said.items() if value} | _query(parts.query)


def _query(text: str) -> dict[str, str]:
    """As libpq reads it: a plus is a plus."""
    said = {}
    for pair in filter(None, text.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            raise _unescaped()
        said[name] = unquote(value)
    return said


def _host_and_port(server: str) -> dict[str, str]:
    """``host``, ``host:port``, ``[::1]:port`` or ``%2Fa%2Fsocket``."""
    if "," in server:
        raise _several()
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?", server)
    if match is None:
        raise _unescaped()
    return {"host": unquote(match[1]).strip("[]"), "port": match[2] or ""}


def _of_pairs(text: str) -> dict[str, str]:
    said, at = {}, 0
    while match := _PAIR.match(text, at):
        value = match[2]
        quoted = value.startswith("'")
        said[match[1]] = re.sub(r"\\(.)", r"\1", value[1:-1] if quoted else value)
        at = match.end()
    if text[at:].strip() or not said:
        raise _unescaped()
    return said


def _of_service(name: str) -> dict[str, str]:
    path = Path(os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(path)
        return dict(file[name])
    except (configparser.Error, KeyError, OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} has no service `{name}`", field="service") from None


def _known(said: dict[str, str]) -> dict[str, str]:
    known = {}
    for spelling, value in said.items():
        name = _SPELLINGS.get(spelling, spelling)
        if name in KEYWORDS:
            known[name] = _MEANINGS.get(value, value) if spelling == "ssl" else value
        elif value.lower() not in _HARMLESS.get(name, ()):
            raise ConfigurationError(
                f"The URL's parameter `{name}` is not supported: take it out", field=name
            )
    if "," in known.get("host", "") or "," in known.get("port", ""):
        raise _several()
    return known


_MEANINGS = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


def _unescaped() -> ConfigurationError:
    return ConfigurationError(
        "The URL cannot be read: write it as postgresql://user:password@host:5432/database,"
        " an IPv6 host in brackets, and in a user name or password `#`, `/`, `?` and `@`"
        " as %23, %2F, %3F and %40",
        field="url",
    )


def _several() -> ConfigurationError:
    return ConfigurationError(
        "The address names several hosts, which is not supported yet: name one", field="host"
    )
