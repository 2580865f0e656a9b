"""``target_session_attrs``, as in libpq: which servers a handle accepts, by their role.

PostgreSQL reports both facts when a connection starts, so a suitable server costs no round trip.
A pooler may report what was true earlier, or nothing: then the server is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from digitwin.errors import ConfigurationError, ConnectionFailedError, ReadOnlyServerError

DEFAULT: Final = "primary"
"""A handle writes, so a standby is refused unless the address asks for one. libpq's own default,
``any``, would let a pool fill with connections to a standby in the middle of a failover."""
FOR_READING: Final = frozenset({"standby", "read-only", "prefer-standby"})
"""With these, a server that refuses writes is what was asked for."""

_ASK: Final = """
SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"""


@dataclass(frozen=True, slots=True)
class ServerRole:
    """What a server says about itself."""

    standby: bool
    read_only: bool
    """Whether transactions are read-only by default; a standby's always are."""

    def suits(self, attrs: str) -> bool:
        """Return whether ``target_session_attrs`` accepts it, with one host to choose from."""
        return _ACCEPTS[attrs](self)


_ACCEPTS: Final[dict[str, Callable[[ServerRole], bool]]] = {
    "any": lambda role: True,
    "read-write": lambda role: not role.read_only,
    "read-only": lambda role: role.read_only,
    "primary": lambda role: not role.standby,
    "standby": lambda role: role.standby,
    "prefer-standby": lambda role: True,
}


def parse_attrs(text: str | None) -> str:
    """Return a valid ``target_session_attrs``.

    Raises:
        ConfigurationError: the value is unknown.
    """
    if text and text not in _ACCEPTS:
        raise ConfigurationError(
            f"`target_session_attrs` must be one of {', '.join(_ACCEPTS)}",
            field="target_session_attrs",
        )
    return text or DEFAULT


async def require(connection: Any, attrs: str, where: str) -> None:
    """Refuse a new connection to a server that ``target_session_attrs`` does not accept.

    Args:
        connection: just opened.
        attrs: the accepted servers.
        where: the address without its password, for the error.

    Raises:
        ReadOnlyServerError: the server accepts no writes, and a writable one is required.
        ConnectionFailedError: the server accepts writes, and one that does not is required.
    """
    if attrs in ("any", "prefer-standby"):
        return
    reported = _reported(connection)
    if reported is not None and reported.suits(attrs):
        return
    standby, read_only = await connection.fetchrow(_ASK)
    role = ServerRole(standby, read_only or standby)
    if role.suits(attrs):
        return
    if attrs in FOR_READING:
        raise ConnectionFailedError(
            f"{where} is no server for target_session_attrs={attrs}: it accepts writes",
            target_session_attrs=attrs,
        )
    kind = "a standby" if role.standby else "read-only"
    raise ReadOnlyServerError(
        f"{where} is {kind}: connect to the primary, or set"
        " target_session_attrs=prefer-standby in the URL to read from it",
        target_session_attrs=attrs,
    )


def _reported(connection: Any) -> ServerRole | None:
    """Return what the server reported when the connection started; None if that is incomplete."""
    settings = connection.get_settings()
    standby = getattr(settings, "in_hot_standby", None)
    read_only = getattr(settings, "default_transaction_read_only", None)
    if standby is None or read_only is None:
        return None
    return ServerRole(standby == "on", "on" in (standby, read_only))
