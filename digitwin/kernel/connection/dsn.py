"""The database to connect to, from arguments, settings and the environment."""

from __future__ import annotations

import getpass
import ipaddress
import ssl as tls_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from digitwin.errors import ConfigurationError
from digitwin.kernel.connection import conninfo, server_role, tls
from digitwin.settings import Settings

PORT = 5432
_ENCRYPTION = ("sslmode", "sslrootcert", "ssl_min_protocol_version")
_TLS_KEYWORDS = [name for name in tls.KEYWORDS if name != "sslpassword"]


@dataclass(frozen=True, slots=True)
class Target:
    """A database and how to connect to it. Its repr contains no password."""

    host: str | None
    """Host name, address, or socket folder; None: libpq's default on this machine."""
    port: int
    user: str
    database: str
    password: SecretStr | None = None
    passfile: str | None = None
    ssl: tls_module.SSLContext | str | None = field(default=None, repr=False)
    tls_keywords: Mapping[str, str] = field(default_factory=dict)
    """TLS keywords of the address, for other programs."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of the address for fields of :class:`~digitwin.Settings`."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    target_session_attrs: str = server_role.DEFAULT
    """Which servers are accepted, as in libpq."""
    embedded: bool = False

    def connect_args(self) -> dict[str, Any]:
        """Return keyword arguments for ``asyncpg.connect`` and ``asyncpg.create_pool``."""
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "database": self.database,
            "passfile": self.passfile,
            "target_session_attrs": "any",  # not the environment's: `server_role` checks ours
            "server_settings": dict(self.server_settings),
        }
        if self.password is not None:
            arguments["password"] = self.password.get_secret_value()
        if self.ssl is not None and not self._is_socket:
            arguments["ssl"] = self.ssl
        return arguments

    def apply_to(self, settings: Settings) -> Settings:
        """Return the settings, with values of the address where a setting has its default."""
        fields = type(settings).model_fields
        found = {
            name: value
            for name, value in self.settings.items()
            if getattr(settings, name) == fields[name].default
        }
        return settings.with_overrides(**found) if found else settings

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: a Unix socket or a loopback address."""
        if self.host is None or self._is_socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def display(self) -> str:
        """The URL without its password, for logs."""
        return self._url(login=quote(self.user, safe=""))

    @property
    def url(self) -> str:
        """The URL with its password: never log it."""
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password.get_secret_value(), safe="")
        return self._url(login)

    @property
    def _is_socket(self) -> bool:
        return self.host is not None and self.host.startswith("/")

    def _url(self, login: str) -> str:
        words = dict(self.tls_keywords)
        host = self.host or ""
        if self._is_socket:
            words, host = {"host": host}, ""
        elif ":" in host:
            host = f"[{host}]"
        if self.target_session_attrs != server_role.DEFAULT:
            words["target_session_attrs"] = self.target_session_attrs
        port = f":{self.port}" if host or self.port != PORT else ""
        query = "&".join(f"{name}={quote(value)}" for name, value in words.items())
        database = quote(self.database, safe="")
        return f"postgresql://{login}@{host}{port}/{database}{'?' if query else ''}{query}"


def resolve(settings: Settings, url: str | None = None) -> Target | None:
    """Return the database to use, or None for the embedded one.

    Precedence: the argument, ``DIGITWIN_DATABASE_URL``, ``DATABASE_URL``, the embedded server.

    Raises:
        ConfigurationError: an address is malformed, or none is set and ``embedded`` is "never".
    """
    encryption = {name: value for name in _ENCRYPTION if (value := getattr(settings, name))}
    if url is not None:
        return parse(url, settings=encryption)
    found = settings.url or settings.database_url
    if found and settings.embedded != "always":
        return parse(found.get_secret_value(), settings=encryption)
    if settings.embedded == "never":
        raise ConfigurationError(
            "No database is configured: set DATABASE_URL, such as"
            " postgresql://user:password@host:5432/database",
            field="url",
        )
    return None


def parse(
    address: str, *, embedded: bool = False, settings: Mapping[str, str] = MappingProxyType({})
) -> Target:
    """Parse an address; settings, then ``PG*`` variables, supply what it does not set.

    Raises:
        ConfigurationError: it is malformed; the message does not contain it.
    """
    found = conninfo.keywords(address, settings)
    if any("\0" in value for value in found.values()):
        raise ConfigurationError("The URL contains a NUL byte", field="url")
    user = found.get("user") or _this_user()
    return Target(
        host=found.get("host") or None,
        port=_port(found.get("port")),
        user=user,
        database=found.get("dbname") or user,
        password=SecretStr(found["password"]) if found.get("password") else None,
        passfile=found.get("passfile") or None,
        ssl=tls.choice(found),
        tls_keywords={name: found[name] for name in _TLS_KEYWORDS if found.get(name)},
        settings={
            name: found[name]
            for name in ("application_name", "connect_timeout")
            if found.get(name, "0") != "0"
        },
        server_settings={"options": found["options"]} if found.get("options") else {},
        target_session_attrs=server_role.parse_attrs(found.get("target_session_attrs")),
        embedded=embedded,
    )


def _this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        raise ConfigurationError("The URL must name a user", field="user") from None


def _port(text: str | None) -> int:
    if not text:
        return PORT
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65_535:
        return int(text)
    raise ConfigurationError("The port must be a number from 1 to 65535", field="port")
