"""Where the database is, from whatever says so."""

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
from digitwin.kernel.connection import conninfo, tls
from digitwin.settings import Settings

PORT = 5432
_ENCRYPTION = ("sslmode", "sslrootcert", "ssl_min_protocol_version")
_SHOWN = [name for name in tls.KEYWORDS if name != "sslpassword"]


@dataclass(frozen=True, slots=True)
class Target:
    """One database, ready to be connected to. Its repr holds no password."""

    host: str | None
    """A name, an address, or a socket's folder; None: this machine, as libpq finds it."""
    port: int
    user: str
    database: str
    password: SecretStr | None = None
    passfile: str | None = None
    ssl: tls_module.SSLContext | str | None = field(default=None, repr=False)
    tls_words: Mapping[str, str] = field(default_factory=dict)
    """What the address says about TLS, for other programs."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the address says that :class:`~digitwin.Settings` would."""
    server_settings: Mapping[str, str] = field(default_factory=dict)
    embedded: bool = False

    def connect_args(self) -> dict[str, Any]:
        """Keyword arguments for ``asyncpg.connect`` and ``asyncpg.create_pool``."""
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "database": self.database,
            "passfile": self.passfile,
            "server_settings": dict(self.server_settings),
        }
        if self.password is not None:
            arguments["password"] = self.password.get_secret_value()
        if self.ssl is not None and not self._is_socket:
            arguments["ssl"] = self.ssl
        return arguments

    def over(self, settings: Settings) -> Settings:
        """The settings; where they are at their default, what the address says counts."""
        fields = type(settings).model_fields
        said = {
            name: value
            for name, value in self.settings.items()
            if getattr(settings, name) == fields[name].default
        }
        return settings.but(**said) if said else settings

    @property
    def is_local(self) -> bool:
        """On this machine: a Unix socket or a loopback address."""
        if self.host is None or self._is_socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def display(self) -> str:
        """The address for people and logs, without its password."""
        return self._url(login=quote(self.user, safe=""))

    @property
    def url(self) -> str:
        """The address with its password, for programs: never log it."""
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password.get_secret_value(), safe="")
        return self._url(login)

    @property
    def _is_socket(self) -> bool:
        return self.host is not None and self.host.startswith("/")

    def _url(self, login: str) -> str:
        words = dict(self.tls_words)
        host = self.host or ""
        if self._is_socket:
            words, host = {"host": host}, ""
        elif ":" in host:
            host = f"[{host}]"
        port = f":{self.port}" if host or self.port != PORT else ""
        query = "&".join(f"{name}={quote(value)}" for name, value in words.items())
        database = quote(self.database, safe="")
        return f"postgresql://{login}@{host}{port}/{database}{'?' if query else ''}{query}"


def resolve(settings: Settings, url: str | None = None) -> Target | None:
    """The database to use, or None for the embedded one.

    The first that is there decides: the argument, ``DIGITWIN_DATABASE_URL``,
    ``DATABASE_URL``, the embedded server.

    Raises:
        ConfigurationError: an address cannot be read, or there is none and the embedded
            server is ruled out.
    """
    encryption = {name: value for name in _ENCRYPTION if (value := getattr(settings, name))}
    if url is not None:
        return parse(url, settings=encryption)
    said = settings.url or settings.database_url
    if said and settings.embedded != "always":
        return parse(said.get_secret_value(), settings=encryption)
    if settings.embedded == "never":
        raise ConfigurationError(
            "No database is named: set DATABASE_URL, as in"
            " postgresql://user:password@host:5432/database",
            field="url",
        )
    return None


def parse(
    address: str, *, embedded: bool = False, settings: Mapping[str, str] = MappingProxyType({})
) -> Target:
    """The target an address names; settings, then ``PG*`` variables, fill what it leaves out.

    Raises:
        ConfigurationError: it cannot be read; the message never quotes it.
    """
    said = conninfo.keywords(address, settings)
    if any("\0" in value for value in said.values()):
        raise ConfigurationError("The URL holds a NUL byte", field="url")
    user = said.get("user") or _this_user()
    return Target(
        host=said.get("host") or None,
        port=_port(said.get("port")),
        user=user,
        database=said.get("dbname") or user,
        password=SecretStr(said["password"]) if said.get("password") else None,
        passfile=said.get("passfile") or None,
        ssl=tls.choice(said),
        tls_words={name: said[name] for name in _SHOWN if said.get(name)},
        settings={
            name: said[name]
            for name in ("application_name", "connect_timeout")
            if said.get(name, "0") != "0"
        },
        server_settings={"options": said["options"]} if said.get("options") else {},
        embedded=embedded,
    )


def _this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's nameless user
        raise ConfigurationError("The URL must name a user", field="user") from None


def _port(text: str | None) -> int:
    if not text:
        return PORT
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65_535:
        return int(text)
    raise ConfigurationError("The port must be a number from 1 to 65535", field="port")
